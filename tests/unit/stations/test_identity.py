"""An instrument is the one expected, or the run does not go on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bmsctl.domain.lease import Lease
from bmsctl.errors import DeviceRefused
from bmsctl.stations.eol.devices import Devices
from bmsctl.stations.identity import identify
from firmware_stubs.sim.loop import run


class Instrument:
    def __init__(self, said: str) -> None:
        self._said = said

    async def identify(self, lease: Lease) -> str:
        lease.check()
        return self._said


def asked(said: str, **serial_numbers: str) -> Coroutine[Any, Any, str]:
    async def main() -> str:
        anything: Any = Instrument(said)
        lease = Lease("cycler", 1.0, asyncio.get_running_loop().time)
        return await identify(Devices(*[anything] * len(Devices.__slots__)), lease, serial_numbers)

    return main()


@pytest.mark.parametrize(
    "said", ["EA, PSB 10500-200, 3100230017, V3.02", "EA,PSB,3100230017,V3", "3100230017 firmware 2"]
)
def test_the_right_instrument_is_taken_however_it_says_its_number(said: str) -> None:
    assert run(asked(said, cycler="3100230017"), 1.0) == said


@pytest.mark.parametrize("said", ["EA, PSB 10500-200, 31002300171, V3.02", "EA, PSB, , V3", ""])
def test_another_instrument_is_refused_and_both_are_named(said: str) -> None:
    with pytest.raises(DeviceRefused, match="3100230017 is expected") as raised:
        run(asked(said, cycler="3100230017"), 1.0)
    assert repr(said) in str(raised.value)


def test_where_no_number_is_expected_any_instrument_will_do() -> None:
    assert run(asked("anything", ohmmeter="1"), 1.0) == "anything"
