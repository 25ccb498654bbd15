"""The cycler's firmware and power stage: what it drives, how well it measures, and when it stops by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bmsctl.domain.ports import Relay
from bmsctl.protocols import psb
from bmsctl.protocols.psb import Questionable
from firmware_stubs import cycler
from firmware_stubs.cycler import CycledPlant, CyclerStub
from firmware_stubs.plant import Element, Node, Plant, PlantCondition
from firmware_stubs.population import facts_of
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import SimSerial
from tests.support.fake_plant import FakePlant


class PackedPlant(FakePlant):
    """A pack that takes any current."""

    def pack_current_a(self, t_s: float) -> float:
        return self.sources[-1][2] if self.sources else 0.0


class Terminal:
    """Types commands and reads the answers."""

    def __init__(self, plant: CycledPlant) -> None:
        self.line = SimSerial("cycler")
        self.stub = CyclerStub(self.line.device, plant, 1)
        self.answers: list[str] = []
        self.line.station.attach(lambda data, t_s: self.answers.append(data.decode().strip()))

    async def type(self, *commands: str) -> list[str]:
        """The answers to some messages."""
        self.answers.clear()
        for command in commands:
            self.line.station.write(command.encode() + b"\n")
        await asyncio.sleep(0.05 * len(commands))
        return list(self.answers)

    async def error(self) -> str:
        (answer,) = await self.type("SYST:ERR?")
        return answer

    async def output(self, volts: float, amps: float, sink: float = 0.0) -> None:
        """Enable, take control, set, switch on; protections far away."""
        self.stub.enable(asyncio.get_running_loop().time(), True)
        await self.type("SYST:LOCK ON", f"SOUR:VOLT {volts}", f"SOUR:CURR {amps}", f"SINK:CURR {sink}", "OUTP ON")

    async def status(self) -> Questionable:
        (answer,) = await self.type("STAT:QUES:COND?")
        return psb.decode_status(answer)


def run(test: Callable[[], Awaitable[None]]) -> None:
    loop = new_loop()
    loop.run_until(test(), 600.0)
    assert loop.errors == []


def packed(volts: float = 350.0) -> PackedPlant:
    return PackedPlant({Node.CYCLER: volts})


def test_it_starts_off_in_local_and_without_enable() -> None:
    async def main() -> None:
        terminal = Terminal(packed())
        assert await terminal.status() == Questionable.REM_SB
        assert await terminal.type("OUTP?;:SYST:LOCK:OWN?") == ["OFF;NONE"]
        for command in ("SOUR:CURR 10", "OUTP ON", "SYST:CONF:UVD:ACT ALARM"):
            await terminal.type(command)
            assert await terminal.error() == '-201,"Invalid while in local"'
        await terminal.type("SYST:LOCK ON", "OUTP ON")
        assert await terminal.error() == '-221,"Settings conflict"'
        assert await terminal.type("OUTP?;:SYST:LOCK:OWN?") == ["OFF;REMOTE"]

    run(main)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SOUR:CURR 204.01", -222),
        ("SOUR:VOLT -1", -222),
        ("SINK:CURR NaN", -222),
        ("SOUR:VOLT:PROT 551", -222),
        ("SINK:CURR ten", -220),
        ("SYST:CONF:UVD:ACT MAYBE", -224),
        ("OUTP PERHAPS", -224),
    ],
)
def test_settings_out_of_range_are_refused(command: str, error: int) -> None:
    async def main() -> None:
        terminal = Terminal(packed())
        await terminal.type("SYST:LOCK ON", command)
        assert (await terminal.error()).startswith(f"{error},")

    run(main)


def test_settings_are_read_back_with_their_unit() -> None:
    async def main() -> None:
        terminal = Terminal(packed())
        await terminal.type("SYST:LOCK ON", "SOURCE:VOLTAGE:PROTECTION 403.2", "SINK:CURR 12.345", "SYST:CONF:UVD 240")
        (answer,) = await terminal.type("SOUR:VOLT:PROT?;:SINK:CURR?;:SYST:CONF:UVD?;UVD:ACT?")
        assert answer == "403.20 V;12.35 A;240.00 V;NONE"

    run(main)


@pytest.mark.parametrize(("volts", "source", "sink", "driven"), [(500, 50, 20, 50.0), (300, 50, 20, -20.0)])
def test_the_voltage_set_value_decides_between_source_and_sink(
    volts: float, source: float, sink: float, driven: float
) -> None:
    async def main() -> None:
        plant = packed()
        await Terminal(plant).output(volts, source, sink)
        assert plant.sources[-1][2] == pytest.approx(driven, abs=0.3)

    run(main)


def test_a_ramp_of_100_a_is_one_step_after_5_ms() -> None:
    async def main() -> None:
        plant = packed()
        terminal = Terminal(plant)
        await terminal.output(500.0, 100.0)
        terminal.stub.enable(asyncio.get_running_loop().time(), False)
        off_s = asyncio.get_running_loop().time()
        assert not terminal.stub.output_on
        await asyncio.sleep(0.1)
        dropped_s, _, amps = plant.sources[-1]
        assert dropped_s == pytest.approx(off_s + 0.005, abs=1e-5)
        assert amps == 0.0
        terminal.stub.enable(asyncio.get_running_loop().time(), True)
        await asyncio.sleep(0.1)
        assert not terminal.stub.output_on

    run(main)


@pytest.mark.parametrize(
    ("volts", "settings", "alarm"),
    [
        (410.0, ("SOUR:VOLT:PROT 403.2",), Questionable.OVP),
        (200.0, ("SYST:CONF:UVD 240", "SYST:CONF:UVD:ACT ALARM"), Questionable.UVD),
        (350.0, ("SOUR:CURR:PROT 40",), Questionable.OCP),
    ],
)
def test_a_protection_trips_without_anybody_asking_and_stays(
    volts: float, settings: tuple[str, ...], alarm: Questionable
) -> None:
    async def main() -> None:
        plant = packed()
        terminal = Terminal(plant)
        await terminal.type("SYST:LOCK ON", *settings)
        await terminal.output(500.0, 30.0)
        await asyncio.sleep(1.0)
        assert terminal.stub.output_on
        plant.potential_v[Node.CYCLER] = volts
        await terminal.type(f"SOUR:CURR {50.0 if alarm is Questionable.OCP else 30.0}")
        await asyncio.sleep(cycler.WATCH_S)
        assert not terminal.stub.output_on
        await asyncio.sleep(0.1)
        assert plant.sources[-1][2] == 0.0
        assert await terminal.status() & alarm
        await terminal.type("OUTP ON")
        assert not terminal.stub.output_on
        await terminal.type("SOUR:CURR 0", "SYST:ERR:ALL?", "OUTP ON")
        assert terminal.stub.output_on is (alarm is not Questionable.OVP)
        plant.potential_v[Node.CYCLER] = 350.0
        await terminal.type("SYST:ERR:ALL?", "OUTP ON")
        assert terminal.stub.output_on

    run(main)


def test_an_undervoltage_is_no_alarm_unless_it_is_told_so() -> None:
    async def main() -> None:
        terminal = Terminal(packed(200.0))
        await terminal.type("SYST:LOCK ON", "SYST:CONF:UVD 240")
        await terminal.output(500.0, 30.0)
        await asyncio.sleep(1.0)
        assert terminal.stub.output_on

    run(main)


@pytest.mark.parametrize("how", ["*RST", "restart"])
def test_a_reset_takes_output_and_settings(how: str) -> None:
    async def main() -> None:
        plant = packed()
        terminal = Terminal(plant)
        await terminal.output(500.0, 50.0)
        if how == "restart":
            terminal.stub.restart()
        else:
            await terminal.type(how)
        await asyncio.sleep(0.1)
        assert plant.sources[-1][2] == 0.0
        assert await terminal.type("OUTP?;:SOUR:CURR?;:SYST:LOCK:OWN?") == ["OFF;0.00 A;NONE"]

    run(main)


def test_four_hundred_units_are_as_accurate_as_the_data_sheet_says() -> None:
    async def main() -> None:
        errors = np.empty((400, 2))
        for seed in range(len(errors)):
            plant = packed()
            stage = cycler.PowerStage(plant, seed)
            stage.drive(100.0, asyncio.get_running_loop().time())
            await asyncio.sleep(0.02)
            driven = plant.sources[-1][2]
            errors[seed] = driven - 100.0, stage.measured()[1] - driven
        sd = np.std(errors, axis=0)
        expected_a = np.hypot(0.1, 0.05)
        assert sd[0] == pytest.approx(expected_a, rel=0.12)
        assert sd[1] == pytest.approx(np.hypot(expected_a, 0.03), rel=0.12)
        assert abs(float(np.mean(errors[:, 0] * errors[:, 1]))) < 0.15 * sd[0] * sd[1]

    run(main)


def test_readings_have_noise_and_do_not_depend_on_who_reads() -> None:
    async def main() -> None:
        quiet, busy = Terminal(packed()), Terminal(packed())
        for terminal in (quiet, busy):
            await terminal.output(500.0, 50.0)
        amps = []
        for _ in range(200):
            await busy.type("MEAS:ARR?")
            amps.append(busy.stub._stage.measured()[1])
        assert np.std(amps) == pytest.approx(0.03, rel=0.15)
        assert quiet.stub._stage.measured() == busy.stub._stage.measured()

    run(main)


def test_an_answer_takes_15_to_30_ms() -> None:
    async def main() -> None:
        terminal = Terminal(packed())
        came_s: list[float] = []
        terminal.line.station.attach(lambda data, t_s: came_s.append(t_s))
        taken = []
        for _ in range(100):
            asked_s = asyncio.get_running_loop().time()
            terminal.line.station.write(b"OUTP?\n")
            await asyncio.sleep(0.05)
            taken.append(came_s[-1] - asked_s)
        assert 0.015 < min(taken) < 0.018
        assert 0.028 < max(taken) < 0.032

    run(main)


def real_plant() -> Plant:
    return Plant(facts_of("AS52"), PlantCondition(), 1)


async def connected(plant: Plant) -> None:
    """Route closed cold, then the pack's contactors by precharge."""
    now_s = asyncio.get_running_loop().time
    plant.coil_supply(now_s(), True)
    plant.switch(now_s(), Element.CYCLER, True)
    plant.relay_command(now_s(), Relay.MAIN_MINUS, True)
    plant.relay_command(now_s(), Relay.PRECHARGE, True)
    await asyncio.sleep(0.5)
    plant.relay_command(now_s(), Relay.MAIN_PLUS, True)
    await asyncio.sleep(0.1)


def test_a_real_pack_is_charged_and_a_contactor_that_opens_ends_it() -> None:
    async def main() -> None:
        plant = real_plant()
        terminal = Terminal(plant)
        await connected(plant)
        await terminal.output(430.0, 50.0)
        await asyncio.sleep(36.0)
        now_s = asyncio.get_running_loop().time()
        assert plant.charge_ah(now_s) == pytest.approx(0.5, rel=0.02)
        assert plant.pack_current_a(now_s) == pytest.approx(50.0, abs=0.3)
        assert plant.ledger == []
        plant.relay_command(now_s, Relay.MAIN_PLUS, False)
        await asyncio.sleep(0.2)
        assert not terminal.stub.output_on
        assert await terminal.status() & Questionable.OVP

    run(main)


@pytest.mark.parametrize(("amps", "sink", "alarm"), [(50.0, 0.0, Questionable.OVP), (0.0, 50.0, Questionable.UVD)])
def test_current_without_a_pack_trips(amps: float, sink: float, alarm: Questionable) -> None:
    async def main() -> None:
        plant = real_plant()
        terminal = Terminal(plant)
        plant.switch(0.0, Element.CYCLER, True)
        await terminal.type("SYST:LOCK ON", "SYST:CONF:UVD:ACT ALARM")
        await terminal.output(430.0 if amps else 0.0, amps, sink)
        await asyncio.sleep(0.05)
        assert not terminal.stub.output_on
        assert await terminal.status() & alarm

    run(main)


def test_a_stuck_output_obeys_nothing_but_its_enable() -> None:
    async def main() -> None:
        plant = packed()
        terminal = Terminal(plant)
        await terminal.output(400.0, 50.0)
        terminal.stub.stuck = True
        await terminal.type("SOUR:CURR 0", "OUTP OFF")
        assert plant.sources[-1][2] == pytest.approx(50.0, abs=0.5)
        terminal.stub.enable(asyncio.get_running_loop().time(), False)
        await asyncio.sleep(0.1)
        assert plant.sources[-1][2] == 0.0

    run(main)


def test_an_output_that_overshoots_drives_more_than_it_was_set_to() -> None:
    async def main() -> None:
        plant = packed()
        terminal = Terminal(plant)
        terminal.stub.overshoot(True)
        await terminal.output(400.0, 50.0)
        assert plant.sources[-1][2] == pytest.approx(cycler.OVERSHOOT * 50.0, abs=0.5)

    run(main)
