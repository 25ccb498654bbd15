"""What counts as the PLC's proof that a pack is voltage-free."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bmsctl.domain.ports import PlcStatus, TripCause
from bmsctl.errors import DeviceTimeout
from bmsctl.stations.voltage_free import proves_voltage_free, voltage_free
from firmware_stubs.sim.loop import run

ASKED_S, SAID_S, NOW_S = 10.0, 10.01, 10.05
PROVES = PlcStatus(True, True, False, False, TripCause.NONE, False, False, False, False, True, True, SAID_S)


def test_a_fresh_status_without_permissive_that_discharges_and_measures_none() -> None:
    assert proves_voltage_free(PROVES, ASKED_S, NOW_S)


@pytest.mark.parametrize(
    ("change", "asked_s", "now_s"),
    [
        ({"permissive": True}, ASKED_S, NOW_S),
        ({"discharging": False}, ASKED_S, NOW_S),
        ({"voltage_free": False}, ASKED_S, NOW_S),
        ({}, SAID_S, NOW_S),
        ({}, ASKED_S, SAID_S + 0.11),
    ],
    ids=["permissive", "no discharge", "voltage", "of before", "stale"],
)
def test_nothing_less(change: dict[str, Any], asked_s: float, now_s: float) -> None:
    assert not proves_voltage_free(replace(PROVES, **change), asked_s, now_s)


def test_no_status_is_no_proof() -> None:
    assert not proves_voltage_free(None, ASKED_S, NOW_S)


class Plc:
    """Says every 20 ms that there is no voltage, from `free_s` on."""

    def __init__(self, free_s: float) -> None:
        self._free_s = free_s

    def status(self) -> PlcStatus:
        now_s = asyncio.get_running_loop().time()
        return replace(PROVES, voltage_free=now_s >= self._free_s, t_s=now_s)


def waited_s(free_s: float) -> float:
    async def main() -> float:
        now, plc = asyncio.get_running_loop().time, Plc(free_s)
        anything: Any = plc
        await voltage_free(anything, now, 4.5)
        return now()

    return run(main(), 10.0)


def test_it_is_waited_for() -> None:
    assert waited_s(1.0) == pytest.approx(1.0, abs=0.021)
    assert 0.0 < waited_s(0.0) < 0.05


def test_what_does_not_come_is_said_with_what_to_do() -> None:
    with pytest.raises(DeviceTimeout, match=r"plc: not proved below 60 V within 4\.5 s: do not touch pack or station"):
        waited_s(5.0)
