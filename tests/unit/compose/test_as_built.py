"""How a pack stands by its stacking records: what is in it, which parts are others, whether its BMS was written."""

from __future__ import annotations

from pathlib import Path

from bmsctl.compose.as_built import as_built
from bmsctl.compose.simulation import SimResult, simulate_one
from bmsctl.domain.world import NOT_BUILT

SERIAL = "AS52000000007"
OTHER = "AS52000000008"
TURNED = '[[defect]]\nkind = "module_reversed"\nslot = 1\n'
WRONG = '[[defect]]\nkind = "module_wrong_part"\nslot = 2\n'
SOFTWARE = '[[defect]]\nkind = "bms_software"\nversion = "0001"\n'


def simulated(store: Path, station: str, scenario: str, cause: str | None = None, *replaced: str) -> SimResult:
    result = simulate_one(
        pack="AS52",
        recipes=None,
        seed=7,
        scenario=scenario,
        scenario_file="test",
        store=store,
        retest_cause=cause,
        station=station,
        replaced=replaced,
    )
    assert result.findings == []
    return result


def verdicts(result: SimResult) -> list[tuple[str, str]]:
    return [(record["station"], record["verdict"]) for record in result.records]


def test_of_a_pack_that_was_never_here_nothing_is_known(tmp_path: Path) -> None:
    assert as_built(tmp_path / "none", SERIAL, 4) == NOT_BUILT


def test_a_module_that_lay_the_wrong_way_round_is_replaced_and_the_pack_then_tested(tmp_path: Path) -> None:
    """The modules that follow move up, so that end of line finds another module of the lot in every slot."""
    assert verdicts(simulated(tmp_path, "stacking", TURNED)) == [("stacking", "FAIL")]
    built = as_built(tmp_path, SERIAL, 4, ["module 1"])
    assert (set(built.parts), built.replaced, built.flashed) == ({"tray"}, frozenset({"module 1"}), False)
    assert as_built(tmp_path, OTHER, 4) == NOT_BUILT
    again = simulated(tmp_path, "both", TURNED, "turned round", "module 1")
    assert verdicts(again) == [("stacking", "PASS"), ("eol", "PASS")]
    built = as_built(tmp_path, SERIAL, 4)
    assert [built.parts[f"module {slot}"] for slot in range(1, 5)] == ["M24-7-2", "M24-7-3", "M24-7-4", "M24-7-5"]
    assert (built.replaced, built.flashed) == (frozenset({"module 1"}), True)
    assert not as_built(tmp_path, SERIAL, 4, ["bms"]).flashed


def test_a_wrong_module_was_put_aside(tmp_path: Path) -> None:
    assert verdicts(simulated(tmp_path, "stacking", WRONG)) == [("stacking", "FAIL")]
    assert as_built(tmp_path, SERIAL, 4).replaced == {"module 2"}


def test_software_that_stacking_has_written_is_there_at_end_of_line(tmp_path: Path) -> None:
    both = simulated(tmp_path, "both", SOFTWARE)
    assert verdicts(both) == [("stacking", "PASS"), ("eol", "PASS")]
    assert as_built(tmp_path, SERIAL, 4).flashed
