"""The runner of `make test-vcan`: where it runs a command, and how it ends; kernels are played by scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parents[4] / "hil" / "vcan" / "run"
TOOLS = (
    *("bash", "sh", "env", "dirname", "readlink", "id", "timeout", "taskset"),
    *("mktemp", "ln", "tail", "cat", "rm", "sleep"),
)

NAMESPACE = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
KERNEL = """#!/bin/bash
for argument; do [[ $argument != init=* ]] || work=$(dirname "${argument#init=}"); done
echo "$work" >"$WORK_NOTED"
"""
OBEDIENT = KERNEL + 'bash "$work/command" >"$work/output" 2>&1; echo $? >"$work/status"\n'
BROKEN = KERNEL + "echo Kernel panic\n"
STUCK = KERNEL + "exec sleep 100\n"
NOTHING = "#!/bin/bash\n"


class Host:
    """A host whose programs are those that a test gives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bin"
        self._folder.mkdir()
        self.noted = folder / "work"
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, tool
            (self._folder / tool).symlink_to(found)

    def has(self, **scripts: str) -> None:
        """Install programs; an underscore stands for a dot."""
        for name, script in scripts.items():
            path = self._folder / name.replace("_", ".")
            path.write_text(script)
            path.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The runner with these arguments, in the folder of the host."""
        variables = {"PATH": str(self._folder), "WORK_NOTED": str(self.noted)} | environment
        return subprocess.run(
            [RUN, *arguments], env=variables, cwd=self._folder.parent, capture_output=True, text=True, timeout=60
        )

    def work_is_gone(self) -> bool:
        """Whether the temporary directory that the guest was given is no more."""
        work = Path(self.noted.read_text().strip())
        return work.is_absolute() and not work.exists()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def with_guest(host: Host) -> Host:
    """A host without vcan, on which a guest kernel obeys."""
    host.has(linux_uml=OBEDIENT, insmod=NOTHING, ip=NOTHING)
    return host


def test_without_a_kernel_it_names_the_packages(host: Host) -> None:
    ended = host.run("true")
    assert ended.returncode == 125
    assert "linux.uml" in ended.stderr
    assert "apt-get install -y --no-install-recommends user-mode-linux kmod iproute2 can-utils" in ended.stderr


def test_without_a_command_it_says_how_it_is_used(with_guest: Host) -> None:
    ended = with_guest.run()
    assert ended.returncode == 125
    assert "usage: hil/vcan/run" in ended.stderr


@pytest.mark.parametrize("status", [0, 1, 124, 125, 255])
def test_the_guest_returns_the_status_and_output_of_the_command(with_guest: Host, status: int) -> None:
    ended = with_guest.run("bash", "-c", f"echo out; echo err >&2; exit {status}")
    assert (ended.returncode, ended.stdout) == (status, "out\nerr\n")
    assert with_guest.work_is_gone()


def test_the_guest_gets_arguments_folder_and_environment_as_they_are(with_guest: Host, tmp_path: Path) -> None:
    script = 'printf "%s|" "$PWD" "$COLOUR" "$@"'
    ended = with_guest.run("bash", "-c", script, "name", "a  b", "$HOME 'x'", "", COLOUR="red\nand blue")
    assert ended.stdout == f"{tmp_path}|red\nand blue|a  b|$HOME 'x'||"


def test_a_guest_that_ends_early_shows_its_console(with_guest: Host) -> None:
    with_guest.has(linux_uml=BROKEN)
    ended = with_guest.run("true")
    assert ended.returncode == 125
    assert "Kernel panic" in ended.stderr
    assert with_guest.work_is_gone()


def test_a_guest_that_takes_too_long_is_ended(with_guest: Host) -> None:
    with_guest.has(linux_uml=STUCK)
    assert with_guest.run("--timeout", "0.5", "true").returncode == 124


def test_a_host_with_vcan_needs_no_guest(with_guest: Host) -> None:
    with_guest.has(unshare=NAMESPACE, python3=NOTHING)
    assert with_guest.run("bash", "-c", "exit 7").returncode == 7
    assert with_guest.run("--timeout", "0.5", "sleep", "100").returncode == 124
    assert not with_guest.noted.exists()


def test_a_host_whose_kernel_has_no_can_uses_the_guest(with_guest: Host) -> None:
    with_guest.has(unshare=NAMESPACE, python3="#!/bin/bash\nexit 1\n")
    assert with_guest.run("bash", "-c", "exit 7").returncode == 7
    assert with_guest.noted.exists()


def test_scripts_can_be_executed() -> None:
    assert all(os.access(RUN.with_name(name), os.X_OK) for name in ("run", "init", "interfaces"))
