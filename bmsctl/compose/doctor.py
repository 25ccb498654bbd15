"""Is this computer fit to run a station? Every check stands alone, changes nothing, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bmsctl.compose import doctor_disk, doctor_machine, doctor_ports, doctor_software
from bmsctl.compose.check import Check, State
from bmsctl.compose.station_file import StationFile

Part = tuple[str, Callable[[], Iterable[Check]]]


def examine(station: StationFile | None, store: Path) -> Iterator[Check]:
    """All checks, one after the other; takes about three seconds.

    Args:
        station: whose ports are looked at; None: only the computer's.
        store: folder of the store, which need not exist yet.
    """
    parts: tuple[Part, ...] = (
        ("software", doctor_software.checks),
        ("ports", lambda: doctor_ports.checks(station)),
        ("machine", doctor_machine.checks),
        ("disk", lambda: doctor_disk.checks(store)),
    )
    for name, part in parts:
        yield from _surviving(name, part)


def _surviving(name: str, part: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of one part; if it breaks, that is bad news and not the end."""
    try:
        yield from part()
    except Exception as error:
        seen = f"internal error: {type(error).__name__}: {error}"
        yield Check(name, State.BAD, seen, "report it with the output of bmsctl doctor --json")
