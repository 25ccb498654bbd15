"""The safety action with devices that fail in every way: the others are still made safe, and it says who failed."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.domain.ports import DigitizerReading, PlcStatus, PlcVoltages, Relay, TripCause
from bmsctl.domain.units import Ampere, Volt
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.eol.devices import Devices
from bmsctl.stations.eol.safe import MakeSafe
from bmsctl.stations.safe import SafeReport
from firmware_stubs.sim.loop import run

END = ["open_all", "supply_off", "off", "await_routes"]


class Calls:
    """A device of which every call works and is noted; `broken` names calls that fail."""

    def __init__(self, broken: dict[str, Exception]) -> None:
        self.made: list[str] = []
        self._broken = broken
        self.free_after_s = 1.0
        self.amps_until_s = 0.0
        self.opened_s: float | None = None
        self.heard = True
        self.discharging = True
        self.permissive = False
        self.age_s = 0.0
        self.u_n_pe = 4.0

    def _note(self, name: str) -> None:
        self.made.append(name)
        if name in self._broken:
            raise self._broken[name]

    def drop_permit(self) -> None:
        self._note("drop_permit")

    def supply_off(self) -> None:
        self._note("supply_off")

    def open_relays(self) -> None:
        self._note("open_relays")
        self.opened_s = asyncio.get_running_loop().time()

    def open_all(self) -> None:
        self._note("open_all")

    def stop(self) -> None:
        self._note("stop")

    def off(self) -> None:
        self._note("off")

    def newest_current(self) -> tuple[Ampere, float] | None:
        """A new value every 20 ms; `amps_until_s`: how long it is large."""
        if not self.heard:
            return None
        now_s = asyncio.get_running_loop().time()
        return Ampere(50.0 if now_s < self.amps_until_s else 1.9), now_s - now_s % 0.02

    def relays(self) -> dict[Relay, bool] | None:
        if self.opened_s is not None:
            self._note("relays")
        return dict.fromkeys(Relay, asyncio.get_running_loop().time() < 0.1) if self.heard else None

    def status(self) -> PlcStatus:
        self._note("status")
        now_s = asyncio.get_running_loop().time()
        free = now_s >= self.free_after_s
        lines = False, False, False, False, self.discharging, free
        return PlcStatus(True, True, self.permissive, False, TripCause.NONE, *lines, now_s - self.age_s)

    async def voltages(self, within: float) -> PlcVoltages:
        self._note("voltages")
        self.u_n_pe = max(4.0, self.u_n_pe / 2.0)
        return PlcVoltages(Volt(1.0), Volt(2.0), Volt(3.0), Volt(self.u_n_pe), 0.0)

    async def connect(self, lease: Any, routes: Any) -> None:
        self._note("connect")

    async def await_routes(self, routes: Any, within: float) -> None:
        self._note("await_routes")

    async def mean(self, lease: Any, n: int) -> DigitizerReading:
        self._note("mean")
        return DigitizerReading(Volt(5.0), Volt(3.0), Volt(0.0), Volt(0.1), n)


def made_safe(broken: dict[str, Exception], **state: float) -> tuple[SafeReport, Calls, float]:
    """Make a station safe; `state`: attributes of its devices."""

    async def main() -> tuple[SafeReport, Calls, float]:
        loop = asyncio.get_running_loop()
        device: Any = Calls(broken)
        for name, value in state.items():
            setattr(device, name, value)
        safe = MakeSafe(Devices(*[device] * len(fields(Devices))), LeaseBook(loop.time), loop.time)
        safe.ask_off()
        return await safe.run(), device, loop.time()

    return run(main(), 60.0)


def test_all_well_is_proved_by_both_instruments() -> None:
    report, device, _ = made_safe({})
    assert report.voltage_free
    assert report.failures == ()
    assert report.values == {
        "time_to_safe": pytest.approx(1.0, abs=0.03),
        "u_pn_plc": 1.0,
        "u_p_pe": 3.0,
        "u_n_pe": 4.0,
        "u_pn_digitizer": 2.0,
    }
    assert device.made[:6] == ["drop_permit", "off", "off", "off", "stop", "open_relays"]
    assert device.made[-4:] == END


@pytest.mark.parametrize(
    ("call", "lost"),
    [
        ("relays", set()),
        ("voltages", {"u_pn_plc", "u_p_pe", "u_n_pe"}),
        ("connect", {"u_pn_digitizer"}),
        ("mean", {"u_pn_digitizer"}),
        ("await_routes", set()),
    ],
)
@pytest.mark.parametrize("error", [DeviceTimeout("x", "no answer"), ValueError("a bug")])
def test_a_failing_device_costs_its_own_proof_only(call: str, lost: set[str], error: Exception) -> None:
    whole, _, _ = made_safe({})
    report, device, _ = made_safe({call: error})
    assert set(whole.values) - set(report.values) == lost
    assert len(report.failures) == 1
    assert device.made[-4:] == END


def test_a_plc_that_never_reports_no_voltage_ends_in_time_and_unproved() -> None:
    report, device, end_s = made_safe({}, free_after_s=1e9)
    assert not report.voltage_free
    assert "time_to_safe" not in report.values
    assert end_s < 6.0
    assert device.made[-4:] == END


def opened_s(**state: float) -> float:
    """When the BMS was told to open its contactors."""
    _, device, _ = made_safe({}, **state)
    assert device.opened_s is not None
    return device.opened_s


def test_contactors_open_once_the_current_has_been_small_twice() -> None:
    assert opened_s() == pytest.approx(0.04, abs=0.011)
    assert opened_s(amps_until_s=0.05) == pytest.approx(0.08, abs=0.011)


def test_a_current_that_does_not_go_holds_the_contactors_for_a_tenth_of_a_second() -> None:
    assert opened_s(amps_until_s=1e9) == pytest.approx(0.1, abs=0.011)


def test_a_bms_that_says_nothing_is_not_waited_for() -> None:
    report, device, _ = made_safe({}, heard=False)
    assert device.opened_s == 0.0
    assert report.failures == ()


def test_a_voltage_that_still_falls_is_read_again() -> None:
    report, _, _ = made_safe({}, u_n_pe=118.0)
    assert report.failures == ()
    assert report.values["u_n_pe"] == pytest.approx(4.0)


@pytest.mark.parametrize("state", [{"permissive": True}, {"age_s": 0.2}], ids=["permissive", "stale"])
def test_a_status_with_a_permissive_or_of_long_ago_is_no_proof(state: dict[str, float]) -> None:
    report, device, _ = made_safe({}, **state)
    assert not report.voltage_free
    assert report.failures[0].startswith("plc: not proved below 60 V")
    assert device.made[-4:] == END


def test_no_voltage_without_the_discharge_across_the_poles_is_no_proof() -> None:
    report, _, _ = made_safe({}, discharging=False)
    assert not report.voltage_free
    late, unproved = report.failures
    assert late.startswith("plc: not proved below 60 V within 4.5 s: do not touch")
    assert unproved.startswith("plc: what it measures is no proof (u_pn_plc ")
    assert set(report.values) == {"u_pn_digitizer"}
