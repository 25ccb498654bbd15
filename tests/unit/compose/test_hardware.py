"""The world of real devices refuses what only a simulated one can do, and confirms nothing that nobody has seen."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from bmsctl.compose import hardware
from bmsctl.compose.hardware import HardwareWorld, NoMes, NoScreen
from bmsctl.compose.recipes import INSTALLED, RecipeBook
from bmsctl.compose.seed_keys import seed_key
from bmsctl.compose.worlds import open_world
from bmsctl.domain.lease import Lease
from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.domain.units import Second
from bmsctl.drivers.terminal_operator import TerminalOperator
from bmsctl.errors import DeviceRefused, Refused, ScenarioError, StationFileError
from firmware_stubs.bms import demo_key
from firmware_stubs.sim.loop import run

RECIPE = RecipeBook().by_pack("AS52")
EXAMPLE = INSTALLED / "stations" / "eol.toml"


def test_it_is_found_by_its_entry_point_and_simulates_nothing() -> None:
    world = open_world("hardware", RECIPE, seed=0, scenario=None, station=EXAMPLE)
    assert isinstance(world, HardwareWorld)
    assert (world.name, world.simulated, world.findings()) == ("hardware", False, [])


def test_it_plays_no_scenario() -> None:
    with pytest.raises(ScenarioError, match=r"weld.toml: a real station plays no scenario"):
        open_world("hardware", RECIPE, seed=0, scenario="", scenario_file="weld.toml", station=EXAMPLE)


def test_it_needs_a_station_file() -> None:
    with pytest.raises(StationFileError, match="--station FILE"):
        open_world("hardware", RECIPE, seed=0, scenario=None)


def test_a_simulated_world_takes_none() -> None:
    with pytest.raises(StationFileError, match="no ports"):
        open_world("sim", RECIPE, seed=0, scenario=None, station=EXAMPLE)


def test_a_seed_key_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(EXAMPLE.read_text().replace('"demo"', '"secret"'))
    with pytest.raises(Refused, match=r"'secret' is installed; installed: .*demo"):
        open_world("hardware", RECIPE, seed=0, scenario=None, station=path)


def test_the_demo_key_is_that_of_the_stubs() -> None:
    assert seed_key("demo") is demo_key


def test_without_screen_and_mes_nothing_is_confirmed_or_known() -> None:
    async def main() -> None:
        lease = Lease("operator", 1.0, asyncio.get_running_loop().time)
        with pytest.raises(DeviceRefused, match="no screen"):
            await NoScreen().confirm(lease, Instruction(ManualTask.DOCK, "", "dock the pack"), Second(1.0))
        with pytest.raises(DeviceRefused, match="no MES"):
            await NoMes().modules("AS52000000001", Second(1.0))

    run(main(), 10.0)


def test_the_person_is_asked_at_the_terminal_that_the_program_was_started_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = open_world("hardware", RECIPE, seed=0, scenario=None, station=EXAMPLE)
    operators = []

    @contextmanager
    def open_nothing(station: object, *, operator: object, **rest: object) -> Iterator[SimpleNamespace]:
        operators.append(operator)
        yield SimpleNamespace(operator=operator)

    async def main(site: object) -> None:
        """A station with nothing to do."""

    monkeypatch.setattr(hardware, "open_site", open_nothing)
    master, slave = os.openpty()
    with open(slave) as terminal, open(os.devnull) as nothing:
        for stdin in (terminal, nothing, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            world.run(main)
    os.close(master)
    assert [type(operator) for operator in operators] == [TerminalOperator, NoScreen, NoScreen]


def test_the_persons_instructions_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    hardware._say("LOAD tray: Lay the tray")
    assert capsys.readouterr() == ("", "LOAD tray: Lay the tray\n")
