"""cantools' own monitor, in a terminal, decodes what the BMS broadcasts, with our message set."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.vcan.wire import PATIENCE_S, peer_on

MESSAGES = Path(__file__).parents[2] / "recipes" / "ampr_small.dbc"
ROWS, COLUMNS = 60, 250
ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>78])")


def screen_until(pattern: str) -> re.Match[str]:
    """Run the monitor until what it has drawn matches; quit it as its user would."""
    command = [sys.executable, "-m", "cantools", "monitor", "--single-line", "-i", "socketcan", "-c", "vcan0"]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm"}
    with subprocess.Popen([*command, str(MESSAGES)], stdin=slave, stdout=slave, env=environment) as monitor:
        os.close(slave)
        try:
            return _drawn(master, pattern)
        finally:
            os.write(master, b"q")
            monitor.wait(PATIENCE_S)
            os.close(master)


def _drawn(master: int, pattern: str) -> re.Match[str]:
    drawn = ""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if select.select([master], [], [], 0.1)[0]:
            drawn += os.read(master, 65_536).decode(errors="replace")
            found = re.search(pattern, ESCAPE.sub("", drawn))
            if found is not None:
                return found
    raise AssertionError(f"{pattern} was not drawn; the end of what was: {ESCAPE.sub('', drawn)[-2000:]}")


def test_monitor_shows_what_the_bms_measures(bms: None) -> None:
    with peer_on() as peer:
        assert peer.receive().data
    shown = screen_until(r"BMS_Taps\(.*?U_Batt: ([0-9.]+) V, U_P: ([0-9.]+) V")
    assert 340.0 < float(shown[1]) < 350.0
    assert 20.0 < float(shown[2]) < 30.0


def test_monitor_shows_cells_and_temperatures(bms: None) -> None:
    with peer_on() as peer:
        assert peer.receive().data
    shown = screen_until(r"CellVoltage09: ([0-9.]+) V(?s:.*)Temperature01: ([0-9.]+) degC")
    assert 3.5 < float(shown[1]) < 3.7
    assert 20.0 < float(shown[2]) < 30.0
