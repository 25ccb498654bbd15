"""The interlock loop: seen closed, provoked without leaving a code, and always closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.domain.limits import ABOVE
from bmsctl.domain.ports import Dtc
from bmsctl.domain.units import Second
from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout, LinkDown
from bmsctl.stations.eol.hvil import hvil
from tests.support.fake_devices import FakeBench, Outcome, passed, run_step


def deaf(follow_s: float) -> Callable[[FakeBench], None]:
    """A flag that follows so late, or never."""

    def script(bench: FakeBench) -> None:
        async def hvil_becomes(lease: Lease, closed: bool, within: Second) -> float:
            await asyncio.sleep(within)
            raise DeviceTimeout("bms", "the flag has not moved")

        bench.plc.hvil_moved_s = -follow_s
        bench.bms.hvil_follow_s = follow_s
        bench.bms.hvil_becomes = hvil_becomes  # type: ignore[method-assign]

    return script


def restored(outcome: Outcome) -> bool:
    """The loop closed, and codes set again."""
    return outcome.bench.plc.hvil_bridged and outcome.bench.bms.dtc_setting_on


def good(bench: FakeBench) -> None:
    bench.plc.hvil_moved_s = -10.0


def test_a_good_loop_is_opened_and_closed_with_codes_off() -> None:
    outcome = run_step(hvil, "hvil", good)
    assert passed(outcome)
    assert outcome.value("open_response") == pytest.approx(0.15)
    assert outcome.value("close_response") == pytest.approx(0.15)
    assert outcome.bench.of("bms.hvil_becomes") == [(False, False), (True, False)]
    assert outcome.bench.of("bms.dtc_setting") == [(False,), (True,)]
    assert restored(outcome)


def test_an_open_loop_fails_and_is_not_provoked() -> None:
    def script(bench: FakeBench) -> None:
        bench.bms.hvil_flag = False
        bench.bms.stored = [Dtc(0x1B1813, 9), Dtc(0x1B0413, 9)]
        bench.facts.dtc_owners = {"1B18": "hvil", "1B04": "temperatures"}

    outcome = run_step(hvil, "hvil", script)
    assert outcome.verdicts == {"loop_closed": Verdict.FAIL, "own_dtcs": Verdict.FAIL}
    assert outcome.value("own_dtcs") == 1.0
    assert outcome.bench.names() == ["bms.hvil_closed", "bms.dtcs"]


def test_a_flag_without_value_is_not_judged() -> None:
    async def none(lease: Lease) -> None:
        return None

    outcome = run_step(hvil, "hvil", lambda bench: setattr(bench.bms, "hvil_closed", none))
    assert outcome.verdicts["loop_closed"] is Verdict.INVALID
    assert "plc.bridge_hvil" not in outcome.bench.names()


def test_a_slow_flag_fails() -> None:
    def script(bench: FakeBench) -> None:
        good(bench)
        bench.bms.hvil_follow_s = 0.45

    outcome = run_step(hvil, "hvil", script)
    assert outcome.verdicts["open_response"] is Verdict.FAIL
    assert restored(outcome)


@pytest.mark.parametrize("follow_s", [2.0, 1e9], ids=["just too late", "never"])
def test_a_flag_that_does_not_follow_fails_with_a_bound(follow_s: float) -> None:
    outcome = run_step(hvil, "hvil", deaf(follow_s))
    assert outcome.error is None
    for name in ("open_response", "close_response"):
        measurement = outcome.context.measurements[name]
        assert (measurement.verdict, measurement.value, measurement.bound) == (Verdict.FAIL, 2.0, ABOVE)
    assert restored(outcome)


def test_a_bms_that_falls_silent_proves_nothing_and_the_loop_is_closed_again() -> None:
    def script(bench: FakeBench) -> None:
        good(bench)
        lost = DeviceTimeout("bms", "no frame")
        bench.errors = {"bms.hvil_becomes": [lost]}
        bench.bms.hvil_follow_s = 0.0
        answered: list[bool] = []

        async def hvil_closed(lease: Lease) -> bool:
            if answered:
                raise lost
            answered.append(True)
            return True

        bench.bms.hvil_closed = hvil_closed  # type: ignore[method-assign]

    outcome = run_step(hvil, "hvil", script)
    assert outcome.error == "bms: no frame"
    assert "open_response" not in outcome.verdicts
    assert restored(outcome)


def test_if_the_loop_cannot_be_opened_the_codes_come_back_on() -> None:
    def script(bench: FakeBench) -> None:
        good(bench)
        bench.errors = {"plc.bridge_hvil": [LinkDown("plc", "unplugged")]}

    outcome = run_step(hvil, "hvil", script)
    assert outcome.error == "plc: unplugged"
    assert restored(outcome)
