"""A bench that runs: hub and stubs as child processes, which never outlive the process that started them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hil.bench_file import STANDARD, read_bench_file
from hil.control import BenchError, answers
from hil.layout import CONTROL, VCAN, CanKind, Layout, default_folder

READY_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0
NICENESS = -10
_PR_SET_PDEATHSIG = 1
_NET = Path("/sys/class/net")


def can_kind(wanted: str) -> CanKind:
    """What `auto` means here: the kernel's vcan where it is set up, else the bench's own buses."""
    if wanted != "auto":
        return CanKind(wanted)
    up = hasattr(socket, "AF_CAN") and all((_NET / name).exists() for name in VCAN.values())
    return CanKind.VCAN if up else CanKind.BENCH


class Bench:
    """Hub and stubs of one folder."""

    def __init__(self, layout: Layout, children: Sequence[subprocess.Popen[str]]) -> None:
        self.layout = layout
        self._children = children

    def failed(self, within_s: float = 0.0) -> str | None:
        """Which of the processes ends by itself within a time, in words; None if none does."""
        outputs = {child.stdout: child for child in self._children if child.stdout is not None}
        for output in select.select(list(outputs), [], [], within_s)[0]:
            child = outputs[output]
            _end(child)
            return f"{_name(child)} has ended with code {child.returncode}; see above, and start the bench anew"
        return None


@contextmanager
def bench_up(folder: Path, bench_file: Path = STANDARD, can: str = "auto") -> Iterator[Bench]:
    """Start hub and stubs; when this is left, both have ended.

    Raises:
        BenchError: one of them does not start, or a bench is up there already.
        BenchFileError: the bench file cannot be used.
    """
    layout = Layout(folder.absolute(), read_bench_file(bench_file), can_kind(can))
    layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    children: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        if layout.kind is CanKind.BENCH and layout.stub_buses:
            children.append(stack.enter_context(_child("hil.hub", str(layout.folder), *layout.stub_buses)))
        stubs = ("hil.stubs", str(layout.folder), layout.kind.value, str(bench_file.absolute()))
        children.append(stack.enter_context(_child(*stubs)))
        layout.station_file.write_text(layout.station_text(), "utf-8")
        stack.callback(layout.station_file.unlink, missing_ok=True)
        yield Bench(layout, children)


@contextmanager
def own_bench(bench_file: Path = STANDARD, can: str = "auto") -> Iterator[Bench]:
    """A bench in a folder of its own, for one purpose; raises as `bench_up`."""
    with (
        tempfile.TemporaryDirectory(prefix="bmsctl-bench-") as folder,
        bench_up(Path(folder), bench_file, can) as bench,
    ):
        yield bench


@contextmanager
def a_bench(folder: Path | None) -> Iterator[Path]:
    """The folder of the bench that is up there, or else of one of its own; raises as `bench_up`."""
    wanted = folder or default_folder()
    if answers(wanted / CONTROL):
        yield wanted
    elif folder is not None:
        raise BenchError(f"{folder}: no bench is up there; start one with `python -m hil up --folder {folder}`")
    else:
        with own_bench() as bench:
            yield bench.layout.folder


@contextmanager
def _child(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A child process that has said "ready"; ended when this is left.

    It has a session of its own, so that Ctrl-C reaches only its parent, which ends children in order.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_begin_child,
    )
    try:
        _await_ready(process)
        yield process
    finally:
        _end(process)


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
    if not readable or process.stdout.readline().strip() != "ready":
        raise BenchError(f"{_name(process)} did not start; see above")


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _name(process: subprocess.Popen[str]) -> str:
    assert isinstance(process.args, list)
    return f"process {process.args[2]}"


def _begin_child() -> None:
    """In the child: end when the process that started it does, even by SIGKILL; and be punctual."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)
    prefer_this_process()


def prefer_this_process() -> None:
    """Go before other programs on a busy machine, where the user may."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
