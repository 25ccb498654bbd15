"""The stacking station's safety action: what it asks at once, what it proves, and what it says of what fails."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import PlcStatus, TripCause
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.safe import SafeReport
from bmsctl.stations.stacking.devices import Devices
from bmsctl.stations.stacking.safe import StackingSafe
from firmware_stubs.sim.loop import run

ASKED = ["drop_permit", "off", "off", "off", "supply_off", "off"]


class Calls:
    """A device of which every call works and is noted; `broken` names calls that fail."""

    def __init__(self, broken: dict[str, Exception], **state: Any) -> None:
        self.made: list[str] = []
        self._broken = broken
        self.free_after_s = 1.0
        self.permissive = False
        self.discharging = True
        self.age_s = 0.0
        self.disables_s = self.vents_s = 0.02
        vars(self).update(state)

    def _note(self, name: str) -> None:
        self.made.append(name)
        if name in self._broken:
            raise self._broken[name]

    def drop_permit(self) -> None:
        self._note("drop_permit")

    def supply_off(self) -> None:
        self._note("supply_off")

    def off(self) -> None:
        self._note("off")

    async def disable(self, lease: Any) -> None:
        self._note("disable")
        await asyncio.sleep(self.disables_s)

    async def vented(self, lease: Any) -> None:
        self._note("vented")
        await asyncio.sleep(self.vents_s)

    def status(self) -> PlcStatus:
        now_s = asyncio.get_running_loop().time()
        if "status" in self._broken:
            raise self._broken["status"]
        lines = False, False, False, False, self.discharging, now_s >= self.free_after_s
        return PlcStatus(True, True, self.permissive, False, TripCause.NONE, *lines, now_s - self.age_s)


def made_safe(broken: dict[str, Exception] | None = None, **state: Any) -> tuple[SafeReport, Calls, float]:
    async def main() -> tuple[SafeReport, Calls, float]:
        loop = asyncio.get_running_loop()
        device: Any = Calls(broken or {}, **state)
        safe = StackingSafe(Devices(*[device] * len(fields(Devices))), LeaseBook(loop.time), loop.time)
        safe.ask_off()
        assert device.made == ASKED
        return await safe.run(), device, loop.time()

    return run(main(), 60.0)


def test_all_well_is_asked_at_once_and_proved() -> None:
    report, device, end_s = made_safe()
    assert report == SafeReport(True, 0.0)
    assert device.made == [*ASKED, "disable", "vented"]
    assert end_s == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    "state",
    [{"free_after_s": 1e9}, {"discharging": False}, {"permissive": True}, {"age_s": 0.5}],
    ids=["voltage", "no discharge", "permissive", "stale"],
)
def test_what_the_plc_does_not_prove_is_not_safe(state: dict[str, Any]) -> None:
    report, device, end_s = made_safe(**state)
    assert not report.voltage_free
    assert len(report.failures) == 1
    assert "do not touch pack or station" in report.failures[0]
    assert end_s < 5.0
    assert device.made == [*ASKED, "disable", "vented"]


@pytest.mark.parametrize(("call", "device"), [("disable", "nutrunner"), ("vented", "leak_tester")])
@pytest.mark.parametrize("bug", [False, True])
def test_a_device_that_does_not_answer_is_named_and_keeps_nothing_else_from_being_proved(
    call: str, device: str, bug: bool
) -> None:
    report, made, _ = made_safe({call: ValueError("a bug") if bug else DeviceTimeout(device, "no answer")})
    assert report.voltage_free
    (failure,) = report.failures
    assert failure.startswith(f"{device}: ")
    assert made.made == [*ASKED, "disable", "vented"]


@pytest.mark.parametrize(
    ("state", "device", "deadline_s"), [("disables_s", "nutrunner", 2.0), ("vents_s", "leak_tester", 23.0)]
)
def test_a_device_that_hangs_costs_its_own_deadline_only(state: str, device: str, deadline_s: float) -> None:
    report, _, end_s = made_safe(**{state: 1e6})
    assert report.voltage_free
    assert report.failures == (f"{device}: not done within {deadline_s:g} s",)
    assert end_s == deadline_s


def test_a_plc_that_fails_proves_nothing() -> None:
    report, device, _ = made_safe({"status": ValueError("a bug")})
    assert not report.voltage_free
    assert device.made == [*ASKED, "disable", "vented"]
