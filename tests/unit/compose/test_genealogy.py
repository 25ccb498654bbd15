"""What end of line is told of a pack: by the own store first, then by the MES."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from bmsctl.compose.genealogy import StoreThenMes
from bmsctl.domain.events import AttemptClosed, Event, IncomingMeasured, PartInstalled, PartRemoved
from bmsctl.domain.links import WallTime
from bmsctl.domain.ports import IncomingModule
from bmsctl.domain.units import Second, Volt
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import StepInvalid
from bmsctl.store.journal import Journal
from tests.support.attempts import ENDED_AT, SERIAL, StoryClock, on_loop, opened

T = TypeVar("T")
WITHIN = Second(1.0)
DAY_S = 86_400.0
OF_MES = IncomingModule(1, "295M", "M-MES", "L", Second(1.0), (Volt(3.6),))


class Mes:
    """Knows one module of every pack, and refuses all."""

    async def released(self, pack_serial: str, station: str, within: Second) -> str | None:
        return f"{station} is not known to have seen {pack_serial}"

    async def modules(self, pack_serial: str, within: Second) -> Sequence[IncomingModule]:
        return [OF_MES]


class LaterClock(StoryClock):
    """A day after the story."""

    def utc(self) -> WallTime:
        return super().utc()._replace(unix_s=super().utc().unix_s + DAY_S)


def module(number: int, serial: str, age_s: float | None = 100.0) -> list[Event]:
    slot = f"module {number}"
    return [
        PartInstalled(slot, "295M", serial, "L1"),
        IncomingMeasured(slot, "age", "s", (age_s,)),
        IncomingMeasured(slot, "cell_voltage", "V", (3.6, 3.7)),
        IncomingMeasured(slot, "voltage", "V", (7.3,)),
    ]


def asked(
    folder: Path,
    attempts: Sequence[tuple[Sequence[Event], AttemptClosed | None]],
    ask: Callable[[StoreThenMes], Awaitable[T]],
) -> T:
    """The answer to a question, with these stacking attempts in the store."""

    async def main() -> T:
        journal = Journal.open(folder, StoryClock())
        for number, (events, closed) in enumerate(attempts, start=1):
            log = journal.open_run(replace(opened(f"r-{number}", number), station="stacking"))
            for event in events:
                log.append(event)
            await log.commit()
            if closed is not None:
                await log.close(closed)
        answer = await ask(StoreThenMes(journal, Mes(), LaterClock()))
        journal.close()
        return answer

    return on_loop(main)


def end(verdict: Verdict) -> AttemptClosed:
    disposition = "release" if verdict is Verdict.PASS else "hold"
    return AttemptClosed(verdict, "", disposition, ENDED_AT, crash=False)


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ((), f"stacking is not known to have seen {SERIAL}"),
        ((Verdict.PASS,), None),
        ((Verdict.FAIL, Verdict.PASS), None),
        ((Verdict.PASS, Verdict.INVALID), "attempt 2 at stacking is INVALID, disposition hold"),
        ((Verdict.PASS, None), "attempt 2 at stacking is still open"),
    ],
)
def test_the_last_attempt_at_the_own_station_decides_and_without_one_the_mes(
    tmp_path: Path, ends: Sequence[Verdict | None], why: str | None
) -> None:
    attempts = [((), None if verdict is None else end(verdict)) for verdict in ends]
    assert asked(tmp_path, attempts, lambda known: known.released(SERIAL, "stacking", WITHIN)) == why


def test_modules_are_those_of_the_last_attempt_and_as_old_as_they_are_now(tmp_path: Path) -> None:
    first = [*module(2, "M-2"), *module(1, "M-0"), PartRemoved("module 1", "M-0", "scratched"), *module(1, "M-1")]
    found = asked(tmp_path, [(first, end(Verdict.PASS))], lambda known: known.modules(SERIAL, WITHIN))
    assert [(each.slot, each.serial, each.lot, each.cell_voltage_v) for each in found] == [
        (1, "M-1", "L1", (3.6, 3.7)),
        (2, "M-2", "L1", (3.6, 3.7)),
    ]
    assert [each.age for each in found] == pytest.approx([DAY_S + 100.0] * 2, abs=0.1)


def test_modules_of_a_pack_built_elsewhere_are_the_mes_s(tmp_path: Path) -> None:
    assert asked(tmp_path, [], lambda known: known.modules(SERIAL, WITHIN)) == [OF_MES]


def test_data_that_are_not_on_record_are_missed(tmp_path: Path) -> None:
    attempt = (module(1, "M-1", None), end(Verdict.PASS))
    with pytest.raises(StepInvalid, match="no age of module 1"):
        asked(tmp_path, [attempt], lambda known: known.modules(SERIAL, WITHIN))
