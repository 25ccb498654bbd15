"""Stacking from tray to release, end of line after it, and packs that are worked on again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bmsctl.compose.invariants import RecordMonitor
from bmsctl.compose.recipes import RecipeBook
from bmsctl.compose.reports import write_report
from bmsctl.compose.simulation import SimResult, simulate_one
from bmsctl.compose.stacking import StackingStation, run_stacking
from bmsctl.compose.station import Order
from bmsctl.domain.attempts import Attempt
from bmsctl.domain.events import Noted
from bmsctl.domain.packml import Mode, State
from bmsctl.domain.record_schema import SCHEMA
from bmsctl.domain.world import Site
from bmsctl.errors import Refused
from bmsctl.store.reader import Reader
from bmsctl.store.verify import verify
from firmware_stubs.world import SimSite, SimWorld
from tests.support.simulate import first_not_pass

SEED = 7
SOON_S = 0.1
BOOK = RecipeBook(None)
RECIPE = BOOK.by_pack("AS52")
SERIAL = f"AS52{SEED:09d}"


def simulated(
    store: Path, station: str, retest: str | None = None, replaced: Sequence[str] = (), seed: int = SEED
) -> SimResult:
    return simulate_one(
        pack="AS52",
        recipes=None,
        seed=seed,
        scenario=None,
        scenario_file="",
        store=store,
        retest_cause=retest,
        station=station,
        replaced=replaced,
    )


class Stacking:
    """One stacking run of which the test keeps hold; `deed` gets site and station once the run has begun."""

    def __init__(self, store: Path, seed: int = SEED) -> None:
        self.world = SimWorld(RECIPE, seed=seed, scenario=None, at="stacking")
        self.store = store
        self.station: StackingStation | None = None

    def run(self, deed: Any = None, after_s: float = 0.0) -> Mapping[str, Any]:
        order = Order(RECIPE, self.world.name, self.world.simulated, Mode.ENGINEERING)

        def main(site: Site) -> Awaitable[Mapping[str, Any]]:
            return run_stacking(site, self.store, order, RecordMonitor(self.store), BOOK.image, ready)

        def ready(station: StackingStation) -> None:
            self.station = station
            if deed is not None:
                asyncio.get_running_loop().call_later(after_s, deed, self.world.site, station)

        return self.world.run(main)


def kept(record: Mapping[str, Any]) -> list[str]:
    return [step["name"] for step in record["steps"] if (step["reason"] or "").startswith("kept")]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimResult]:
    """A store with one pack that went through both stations."""
    store = tmp_path_factory.mktemp("line") / "store"
    return store, simulated(store, "both")


def test_one_pack_goes_through_both_stations(line: tuple[Path, SimResult]) -> None:
    store, result = line
    assert result.findings == []
    assert [(each["station"], each["verdict"], each["attempt"]) for each in result.records] == [
        ("stacking", "PASS", 1),
        ("eol", "PASS", 1),
    ]
    stacking, eol = result.records
    assert {stacking["pack_serial"], eol["pack_serial"]} == {SERIAL}
    assert stacking["ended_at"] < eol["started_at"]
    for record, station in zip(result.records, ("stacking", "eol"), strict=True):
        jsonschema.validate(record, SCHEMA)
        assert [step["name"] for step in record["steps"]] == [step.run for step in RECIPE.steps(station)]
    assert verify(store) == []


def test_end_of_line_has_its_modules_from_stacking(line: tuple[Path, SimResult]) -> None:
    stacking, eol = line[1].records
    ages: list[dict[str, float]] = []
    for record in (stacking, eol):
        modules = {part["slot"]: part for part in record["genealogy"] if part["slot"].startswith("module")}
        assert list(modules) == [f"module {number}" for number in range(1, 5)]
        incoming = {slot: {each["name"]: each["values"] for each in part["incoming"]} for slot, part in modules.items()}
        ages.append({slot: values["age"][0] for slot, values in incoming.items()})
        assert all(len(values["cell_voltage"]) == 24 for values in incoming.values())
    grown = [ages[1][slot] - ages[0][slot] for slot in ages[0]]
    assert all(600.0 < by_s < 3600.0 for by_s in grown)
    assert [part["serial"] for part in eol["genealogy"]] == [
        part["serial"] for part in stacking["genealogy"] if part["slot"].startswith("module")
    ]


def test_a_rework_runs_what_rests_on_the_part_and_end_of_line_waits_for_it(tmp_path: Path) -> None:
    assert simulated(tmp_path, "stacking").record["verdict"] == "PASS"  # type: ignore[index]
    with pytest.raises(Refused, match="cause"):
        simulated(tmp_path, "stacking")
    with pytest.raises(Refused, match="busbar 9 is not in the pack"):
        simulated(tmp_path, "stacking", "scratched", ["busbar 9"])
    again = simulated(tmp_path, "both", "scratched", ["module 2"])
    assert again.findings == []
    stacking, eol = again.records
    assert (stacking["verdict"], stacking["attempt"], kept(stacking)) == (
        "PASS",
        2,
        ["tray", "bms_flash", "coolant_leak"],
    )
    assert (eol["verdict"], eol["attempt"]) == ("PASS", 1)
    gone = {part["slot"]: part["removed_reason"] for part in stacking["genealogy"] if part["removed_reason"]}
    assert gone["module 2"] == "replaced"
    assert gone.keys() >= {"harness", "cover", "busbar 1", "busbar 2", "bolt m2.1", "bolt b1.1", "bolt c1"}
    assert not gone.keys() & {"module 1", "bolt m1.1", "busbar 3", "bms", "tray"}
    inside = [part["slot"] for part in stacking["genealogy"] if not part["removed_reason"]]
    assert len(set(inside)) == len(inside) == 1 + 4 + 5 + 3 + 32 + 10 + 50
    assert verify(tmp_path) == []


def test_a_retest_enters_at_the_first_step_that_did_not_pass(tmp_path: Path) -> None:
    first = Stacking(tmp_path)
    record = first.run(lambda site, station: station.sequencer.abort("tired"), after_s=400.0)
    assert (record["verdict"], record["reason"]) == ("ABORTED", "tired")
    assert first.world.findings() == []
    stopped = first_not_pass(record)
    with pytest.raises(Refused, match="attempt 1 at stacking is ABORTED"):
        simulated(tmp_path, "eol")
    again = simulated(tmp_path, "stacking", "rested")
    assert again.findings == []
    assert again.record is not None
    assert again.record["verdict"] == "PASS", again.record["reason"]
    names = [step["name"] for step in again.record["steps"]]
    assert stopped is not None
    assert kept(again.record) == names[: names.index(stopped[0])]
    before, after = tightenings(record), tightenings(again.record)
    assert before
    assert before.items() <= after.items(), "a bolt that was tight was tightened again"
    assert verify(tmp_path) == []


def tightenings(record: Mapping[str, Any]) -> dict[str, list[float]]:
    """Torques of each bolt that is in."""
    return {
        part["slot"]: [each["torque"] for each in part["tightenings"]]
        for part in record["genealogy"]
        if part["removed_reason"] is None and part["tightenings"]
    }


def killed(store: Path, seed: int, after_s: float = 60.0) -> list[Attempt]:
    """Leave an attempt open as a kill in its steps would, no sooner than `after_s`; what the store then has."""
    run = Stacking(store, seed)

    class Killed(BaseException):
        """Nothing more is done by this process."""

    def die(site: SimSite, station: StackingStation) -> None:
        if station.sequencer.state is State.EXECUTE:
            raise Killed
        asyncio.get_running_loop().call_later(SOON_S, die, site, station)

    with pytest.raises(Killed):
        run.run(die, after_s=after_s)
    with Reader.open(store) as reader:
        return reader.attempts()


def test_a_half_built_pack_is_resumed_and_not_begun_anew(tmp_path: Path) -> None:
    (left,) = killed(tmp_path, SEED)
    assert (left.verdict, left.attempt) == (None, 1)
    with pytest.raises(Refused, match=f"{SERIAL} is unfinished"):
        simulated(tmp_path, "stacking", seed=SEED + 1)
    result = simulated(tmp_path, "stacking")
    assert result.record is not None
    assert (result.record["verdict"], result.record["record_id"]) == ("PASS", left.record_id)
    assert result.findings == []


def test_another_tray_is_refused_while_one_is_unfinished(tmp_path: Path) -> None:
    """Killed before the tray was on the carrier, so that the station looks at the label of the next."""
    (left,) = killed(tmp_path, SEED, after_s=0.0)
    assert left.verdict is None
    with pytest.raises(Refused, match=f"tray AS52{SEED + 1:09d} was not started: {SERIAL} is unfinished"):
        Stacking(tmp_path, SEED + 1).run()
    assert Stacking(tmp_path).run()["verdict"] == "PASS"


def break_discharge(site: SimSite) -> None:
    site.wiring.plc.energy.break_discharge(asyncio.get_running_loop().time())


def test_a_station_that_cannot_prove_itself_safe_ends_in_aborted_and_says_so_in_the_record(tmp_path: Path) -> None:
    run = Stacking(tmp_path)

    def fails(site: SimSite, station: StackingStation) -> None:
        break_discharge(site)
        station.sequencer.abort("tired")

    record = run.run(fails, after_s=100.0)
    assert (record["verdict"], record["reason"]) == ("ABORTED", "tired")
    assert run.station is not None
    assert (run.station.sequencer.state, run.station.sequencer.proved) == (State.ABORTED, False)
    with Reader.open(tmp_path) as reader:
        stored = reader._run(record["record_id"])
    assert stored is not None
    (note,) = [event for event in stored.events if isinstance(event, Noted) and event.what == "make_safe"]
    assert note.text.startswith("plc: ")


def test_a_station_that_is_not_safe_at_its_start_runs_nothing_and_leaves_a_half_built_pack_open(tmp_path: Path) -> None:
    (left,) = killed(tmp_path, SEED)
    run = Stacking(tmp_path)
    with pytest.raises(Refused, match=f"pack {SERIAL} is not resumed: .*60 V"):
        run.run(lambda site, station: break_discharge(site))
    with Reader.open(tmp_path) as reader:
        (still,) = reader.attempts()
    assert still == left


def test_the_pages_of_both_stations_link_to_each_other(line: tuple[Path, SimResult]) -> None:
    store, result = line
    stacking, eol = (record["record_id"] for record in result.records)
    page = write_report(store, stacking, None)
    assert f"{eol}.html" not in page.read_text()
    assert f"{stacking}.html" in write_report(store, eol, None).read_text()
    assert f"{eol}.html" in write_report(store, stacking, None).read_text()
