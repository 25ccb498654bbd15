"""`bmsctl sim day`, `bmsctl sim defects` and `bmsctl sim campaign`: what they print, where, and their exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.sim import sim
from bmsctl.compose import campaign, defect_table, fault_campaign
from bmsctl.compose.campaign import SimJob, SimOutcome
from bmsctl.compose.defect_table import CaseResult
from bmsctl.compose.fault_campaign import FaultResult
from bmsctl.domain.world import DefectCase, FaultCase
from bmsctl.errors import BmsctlError
from bmsctl.store.reader import Reader
from bmsctl.store.verify import examine

DAY = ("day", "--packs", "3", "--seed", "5", "--stations", "1")


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(sim, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def outcome(job: SimJob, verdict: str | None = "PASS", *findings: str) -> SimOutcome:
    """How a job ended; not PASS: in step hvil."""
    if verdict is None:
        return SimOutcome(job, None, list(findings))
    record = {"pack_serial": f"AS52{job.seed:09}", "verdict": verdict, "steps": [{"name": "hvil", "verdict": verdict}]}
    return SimOutcome(job, record, list(findings))


Outcome = Callable[[SimJob], SimOutcome]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], list[SimJob]]:
    """Runs jobs by a function instead of a station; gives the list they are put on."""

    def fake(by: Outcome) -> list[SimJob]:
        seen: list[SimJob] = []

        def run_jobs(jobs: Sequence[SimJob], recipes: Path | None, stations: int) -> Iterator[SimOutcome]:
            for job in jobs:
                seen.append(job)
                yield by(job)

        monkeypatch.setattr(campaign, "run_jobs", run_jobs)
        return seen

    return fake


def test_a_day_of_two_packs_on_two_stations(tmp_path: Path) -> None:
    result = call("day", "--packs", 2, "--seed", 11, "--stations", 2, "--json", "--store", tmp_path)
    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, f"stores: {tmp_path}/station-1, {tmp_path}/station-2\n")
    assert (told["packs"], told["violations"]) == (2, 0)
    assert told["verdicts"] == {"PASS": 2, "FAIL": 0, "INVALID": 0, "ABORTED": 0}
    assert [run["seed"] for run in told["runs"]] == [11, 12]
    for number, run in enumerate(told["runs"], start=1):
        store = tmp_path / f"station-{number}"
        with Reader.open(store) as reader:
            (attempt,) = reader.attempts()
        assert (attempt.pack_serial, attempt.verdict) == (run["pack_serial"], "PASS")
        assert examine(store).ok


@pytest.mark.parametrize("station", ["eol", "stacking", "both"])
def test_a_day_at_a_station_is_one_at_that_station(
    jobs: Callable[[Outcome], list[SimJob]], tmp_path: Path, station: str
) -> None:
    seen = jobs(outcome)
    assert call(*DAY, "--station", station, "--store", tmp_path).exit_code == 0
    assert {job.station for job in seen} == {station}


def test_a_day_is_a_table_by_vehicle(jobs: Callable[[Outcome], list[SimJob]], tmp_path: Path) -> None:
    seen = jobs(lambda job: outcome(job, "FAIL" if job.seed == 6 else "PASS"))
    result = call(*DAY, "--store", tmp_path)
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0].split() == ["vehicle", "pack", "tested", "PASS", "FAIL", "INVALID", "ABORTED"]
    assert sum(int(line.split()[2]) for line in lines[1:-1]) == 3
    assert lines[-1] == "FAIL seed 6: hvil FAIL"
    assert [(job.seed, job.store) for job in seen] == [(5, tmp_path), (6, tmp_path), (7, tmp_path)]


def test_a_violation_is_exit_1_and_a_broken_run_exit_3(jobs: Callable[[Outcome], list[SimJob]]) -> None:
    jobs(lambda job: outcome(job, "PASS", *(["I1: an arc"] if job.seed == 6 else [])))
    result = call(*DAY)
    assert result.exit_code == 1
    assert "seed 6: I1: an arc\n" in result.stderr
    jobs(lambda job: outcome(job, None, "the run broke: x") if job.seed == 6 else outcome(job))
    result = call(*DAY, "--json")
    assert result.exit_code == 3
    assert "seed 6: the run broke: x\n" in result.stderr
    broken = json.loads(result.stdout)["runs"][1]
    assert (broken["verdict"], broken["pack_serial"], broken["first_not_pass"]) == (None, None, None)


def test_a_killed_station_is_exit_3(jobs: Callable[[Outcome], list[SimJob]]) -> None:
    def killed(job: SimJob) -> SimOutcome:
        raise BmsctlError("a simulated station's process was killed; start again")

    jobs(killed)
    result = call(*DAY)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "start again" in result.stderr


def test_a_mix_decides_the_vehicles(jobs: Callable[[Outcome], list[SimJob]], tmp_path: Path) -> None:
    mix = tmp_path / "mix.toml"
    mix.write_text('[[mix]]\nvehicle = "alpine_a290"\nshare = 2\n')
    seen = jobs(outcome)
    assert call(*DAY, "--mix", mix).exit_code == 0
    assert {job.name for job in seen} == {"alpine_a290"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"mix = 1", "mix must be an array of tables"),
        (b'[[mix]]\nvehicle = "beetle"\nshare = 1', "mix 1: unknown vehicle 'beetle'"),
        (b"[[", "not TOML: "),
        (b"\xff", "give a TOML file in UTF-8"),
        (b"#" * 300_000, "larger than 256 KiB; that is no mix of vehicles"),
    ],
)
def test_a_bad_mix_is_a_usage_error_with_its_file(
    jobs: Callable[[Outcome], list[SimJob]], tmp_path: Path, content: bytes, said: str
) -> None:
    mix = tmp_path / "mix.toml"
    mix.write_bytes(content)
    seen = jobs(outcome)
    result = call(*DAY, "--mix", mix, "--store", tmp_path / "store")
    assert (result.exit_code, result.stdout, seen) == (2, "", [])
    assert result.stderr.startswith(f"bmsctl: {mix}: ")
    assert said in result.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("mix", ["/nowhere/mix.toml", "/dev/zero"])
def test_a_mix_that_is_no_file_is_a_usage_error(mix: str) -> None:
    result = call(*DAY, "--mix", mix)
    assert (result.exit_code, result.stdout) == (2, "")
    assert mix in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("day", "--packs", "0", "--seed", "1"),
        ("day", "--packs", "1"),
        ("day", "--packs", "1", "--seed", "-1"),
        ("day", "--packs", "1", "--seed", "1", "--stations", "0"),
        ("day", "--packs", "1", "--seed", "1", "--store", ""),
        ("defects", "--seeds", "0"),
        ("defects", "--stations", "65"),
        ("defects", "--pack", "AS99"),
        ("campaign", "--pack", "AS99"),
        ("campaign", "--seeds", "0"),
        ("campaign", "--faults", "D11"),
    ],
)
def test_usage(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


RIGHT = CaseResult(DefectCase("hvil_open", 'kind = "hvil_open"', (("hvil", "FAIL"),)), 3)
WRONG = CaseResult(DefectCase("y_capacitance half", "", ()), 3, {1: "hvil FAIL, record FAIL"})


def table(monkeypatch: pytest.MonkeyPatch, *results: CaseResult, error: BmsctlError | None = None) -> list[Any]:
    """Puts a table in place of the real one; gives the list of what it was asked for."""
    asked: list[Any] = []

    def run_table(*arguments: Any) -> Iterator[CaseResult]:
        asked.extend(arguments)
        yield from results
        if error is not None:
            raise error

    monkeypatch.setattr(defect_table, "run_table", run_table)
    return asked


def test_defects_as_expected_are_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = table(monkeypatch, RIGHT)
    result = call("defects", "--seeds", 3)
    assert (result.exit_code, result.stderr) == (0, "")
    header, line = result.stdout.splitlines()
    assert header.split() == ["station", "case", "expected", "as", "expected"]
    assert line.split() == ["eol", "hvil_open", "hvil", "FAIL", "3/3"]
    assert asked == ["AS52", None, 3, len(os.sched_getaffinity(0))]


def test_defects_that_differ_are_exit_1_and_told_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, RIGHT, WRONG)
    result = call("defects", "--seeds", 3)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "    seed 1: hvil FAIL, record FAIL"
    assert result.stderr == "1 of 2 cases are not as expected\n"
    told = json.loads(call("defects", "--json").stdout)
    assert (told["pack"], told["ok"]) == ("AS52", False)
    right, wrong = told["cases"]
    assert right["expected"] == [{"step": "hvil", "verdict": "FAIL"}]
    assert (right["station"], right["scenario"], right["seeds"]) == ("eol", 'kind = "hvil_open"', 3)
    assert right["wrong"] == []
    assert wrong["wrong"] == [{"seed": 1, "found": "hvil FAIL, record FAIL"}]


def test_defects_that_cannot_be_run_to_the_end_are_exit_3(monkeypatch: pytest.MonkeyPatch) -> None:
    table(monkeypatch, RIGHT, error=BmsctlError("a simulated station's process was killed; start again"))
    result = call("defects", "--stations", 2)
    assert result.exit_code == 3
    assert "start again" in result.stderr


SILENT = FaultCase("can.silent", "D2", "bms", "dcir", 'kind = "can.silent"', "INVALID", "dcir", "bms: ")
REPLAY = FaultCase("plc.replay", "F3", "plc", "dcir", 'kind = "plc.replay"', "INVALID", "dcir", "plc")


def faults(monkeypatch: pytest.MonkeyPatch, *results: FaultResult, error: BmsctlError | None = None) -> None:
    """Puts results in place of a campaign."""

    def run_campaign(*arguments: Any) -> Iterator[FaultResult]:
        yield from results
        if error is not None:
            raise error

    monkeypatch.setattr(fault_campaign, "run_campaign", run_campaign)


def test_a_campaign_as_expected_is_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    faults(monkeypatch, FaultResult(SILENT, 3))
    result = call("campaign", "--seeds", 3)
    assert (result.exit_code, result.stderr) == (0, "")
    header, line = result.stdout.splitlines()
    assert header.split() == ["id", "case", "expected", "as", "expected"]
    assert line.split() == ["D2", "can.silent", "bms", "dcir", "INVALID", "3/3"]


def test_a_campaign_that_differs_is_exit_1_and_told_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    faults(monkeypatch, FaultResult(SILENT, 3), FaultResult(REPLAY, 3, {2: "record PASS: None"}))
    result = call("campaign")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "    seed 2: record PASS: None"
    assert result.stderr == "1 of 2 cases are not as expected\n"
    told = json.loads(call("campaign", "--json").stdout)
    assert (told["pack"], told["ok"]) == ("AS52", False)
    right, wrong = told["cases"]
    assert (right["id"], right["fault"], right["target"], right["step"]) == ("D2", "can.silent", "bms", "dcir")
    assert (right["expected"], right["seeds"], right["wrong"]) == ("INVALID", 3, [])
    assert wrong["wrong"] == [{"seed": 2, "found": "record PASS: None"}]


def test_a_campaign_that_cannot_be_run_to_the_end_is_exit_3(monkeypatch: pytest.MonkeyPatch) -> None:
    faults(monkeypatch, FaultResult(SILENT, 1), error=BmsctlError("a simulated station's process was killed"))
    assert call("campaign").exit_code == 3


def test_the_cases_of_a_fault_are_listed_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    faults(monkeypatch, error=BmsctlError("it was run"))
    result = call("campaign", "--faults", "F3,can.silent", "--list")
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()[1:]} == {"F3", "D2"}
    told = json.loads(call("campaign", "--faults", "F3", "--list", "--json").stdout)
    assert {case["fault"] for case in told} == {"plc.replay"}


def test_help_says_what_it_does() -> None:
    for command in ("day", "defects", "campaign"):
        result = call(command, "--help")
        assert result.exit_code == 0
        assert "--stations" in result.stdout
        assert "one a processor" in result.stdout
