"""Lets asserts in the support modules show their values, and holds tests marked `vcan` to what the mark says.

`make test` does not select them. Where they are selected, a kernel must have carried CAN frames during each: without,
it fails, and one that is skipped fails the session. The summary counts them.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support", "tests.vcan.wire")

STATISTICS = Path("/proc/net/can/stats")

_passed = pytest.StashKey[set[str]]()
_skipped = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_passed] = set()
    config.stash[_skipped] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if item.get_closest_marker("vcan") is None:
        return (yield)
    before = _frames_carried()
    yield
    assert _frames_carried() > before, "no frame went through a kernel's CAN: this is no vcan test"
    item.config.stash[_passed].add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.get_closest_marker("vcan") is not None:
        item.config.stash[_skipped].add(item.nodeid)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash[_skipped]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    passed, skipped = config.stash[_passed], config.stash[_skipped]
    if passed or skipped:
        terminalreporter.write_line(f"vcan: {len(passed)} tests passed on AF_CAN sockets, {len(skipped)} were skipped")


def _frames_carried() -> int:
    """Frames sent through this network's CAN sockets since its statistics began.

    Raises:
        FileNotFoundError: the kernel has no CAN.
    """
    sent = re.search(r"(\d+) transmitted frames", STATISTICS.read_text())
    assert sent is not None, f"{STATISTICS} has another form than this test suite knows"
    return int(sent[1])
