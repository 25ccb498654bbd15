"""How a pack stands by the store's stacking records: what a simulated far end is to have on its carrier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmsctl.domain.attempts import Attempt
from bmsctl.domain.parts import BMS, coming_off, kind_of
from bmsctl.domain.recipe import STACKING
from bmsctl.domain.rework import CAME_OFF, REPLACED, exchanged
from bmsctl.domain.verdict import Verdict
from bmsctl.domain.world import NOT_BUILT, AsBuilt
from bmsctl.errors import StoreError
from bmsctl.store.reader import Reader


def as_built(store: Path, serial: str, modules: int, replaced: Sequence[str] = ()) -> AsBuilt:
    """A pack of so many modules as its stacking records leave it, without what comes off with `replaced`."""
    try:
        with Reader.open(store) as reader:
            attempts = [one for one in reader.attempts() if (one.station, one.pack_serial) == (STACKING, serial)]
            records = [record for one in attempts if (record := reader.record(one.record_id)) is not None]
    except StoreError:
        return NOT_BUILT  # as in `unfinished`
    if not records:
        return NOT_BUILT
    parts = _parts(records[-1])
    off = {each for slot in replaced for each in coming_off(slot, parts, modules)}
    new = {slot for record in records for slot in _exchanged(record)}
    new |= {slot for slot in off if exchanged(slot, REPLACED if slot in replaced else CAME_OFF)}
    flashed = BMS not in off and _passed(records[-1], "bms_flash")
    return AsBuilt({slot: there for slot, there in parts.items() if slot not in off}, frozenset(new), flashed)


def unfinished(store: Path) -> list[Attempt]:
    """Attempts that an earlier process left open at stacking."""
    try:
        with Reader.open(store) as reader:
            return [one for one in reader.attempts() if one.station == STACKING and one.verdict is None]
    except StoreError:
        return []  # the station opens the store next, and says what is wrong with it


def left_off_s(store: Path) -> float | None:
    """Wall time, s since 1970, at which an earlier process left a pack unfinished at stacking; None if none did."""
    attempts = unfinished(store)
    if not attempts:
        return None
    with Reader.open(store) as reader:
        return max((left_s for one in attempts if (left_s := reader.newest_s(one.record_id)) is not None), default=None)


def _parts(record: Mapping[str, Any]) -> dict[str, str]:
    """What is in, serials by slot; a bolt of which no tightening is on record is not counted: nobody knows."""
    inside = [part for part in record["genealogy"] if part["removed_reason"] is None]
    there = [part for part in inside if kind_of(part["slot"]) != "bolt" or part["tightenings"]]
    return {part["slot"]: part["serial"] or "" for part in there}


def _exchanged(record: Mapping[str, Any]) -> Iterator[str]:
    """Slots whose next part is another one, and those whose module was put aside before it was in."""
    for part in record["genealogy"]:
        if part["removed_cause"] is not None and exchanged(part["slot"], part["removed_cause"]):
            yield part["slot"]
    for one in _step(record, "modules_in")["measurements"]:
        if one["verdict"] == Verdict.FAIL:
            yield one["name"].partition("[")[2].rstrip("]")


def _passed(record: Mapping[str, Any], run: str) -> bool:
    return bool(_step(record, run)["verdict"] == Verdict.PASS)


def _step(record: Mapping[str, Any], run: str) -> Mapping[str, Any]:
    """A step of the record, as one that was not run if it is not there."""
    empty: Mapping[str, Any] = {"verdict": None, "measurements": []}
    return next((step for step in record["steps"] if step["name"] == run), empty)
