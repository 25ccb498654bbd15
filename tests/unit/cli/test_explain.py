"""`bmsctl explain` and `bmsctl records report`: words and pages, where they go, and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.main import cli
from bmsctl.compose.recipes import RecipeBook
from bmsctl.store.journal import Journal
from tests.support.attempts import SERIAL, StoryClock, on_loop, opened, store_of
from tests.support.simulate import Simulation, defect

Stored = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A simulated pack with one cell too low, not to be changed."""
    store = tmp_path_factory.mktemp("explain") / "store"
    return store, dict(Simulation(store, seed=4, scenario=defect("cell_voltage", cell=17, offset="-60 mV")).run())


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Two good attempts; the record of the second."""
    store = tmp_path_factory.mktemp("passed") / "store"
    return store, store_of(store, attempts=2)[1]


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_a_pass_says_how_much_was_measured(passed: Stored) -> None:
    result = call("explain", SERIAL, "--store", passed[0])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"PASS     {SERIAL}. The pack conforms and is released."
    assert "2 steps, 2 measurements, all within their limits." in result.stdout


def test_a_fail_says_value_limit_file_line_cause_and_where_to_look(failed: Stored) -> None:
    store, record = failed
    result = call("explain", record["pack_serial"], "--store", store)
    origin = RecipeBook().by_pack("AS52").provenance["eol.cells_at_rest.limits.cell_deviation.high"]
    assert (result.exit_code, result.stderr) == (0, "")
    text = " ".join(result.stdout.split())
    assert text.startswith(f"FAIL {record['pack_serial']}. The pack does not conform. {record['reason']}")
    assert "cell_deviation is 5" in text
    assert f"Limit at most 25 mV, {origin.file} line {origin.line}: {origin.why}" in text
    assert "Likely One cell is charged differently" in text
    assert "Look at " in text
    assert max(len(line) for line in result.stdout.splitlines()) <= 110
    assert "\x1b" not in result.stdout


def test_steps_that_were_not_run_are_told_once_a_reason(failed: Stored) -> None:
    store, record = failed
    text = " ".join(call("explain", record["record_id"], "--store", store).stdout.split())
    kept = [step["name"] for step in record["steps"] if step["verdict"] is None]
    assert "dcir" in kept
    assert f"Not run {', '.join(kept)}: not run after FAIL of cells_at_rest" in text


def test_json_has_the_findings_and_nothing_else_on_stdout(failed: Stored) -> None:
    store, record = failed
    result = call("explain", record["pack_serial"], "--json", "--store", store)
    told = json.loads(result.stdout)
    assert list(told) == ["record_id", "pack_serial", "verdict", "reason", "disposition", "findings"]
    assert (told["record_id"], told["verdict"], told["disposition"]) == (record["record_id"], "FAIL", "hold")
    assert list(told["findings"][0]) == ["step", "verdict", "measured", "limit", "cause", "look"]
    assert {each["step"] for each in told["findings"]} == {"cells_at_rest"}
    assert all(each["limit"] and each["cause"] and each["look"] for each in told["findings"])


def test_without_the_recipes_file_the_recipe_is_named(failed: Stored, tmp_path: Path) -> None:
    store, record = failed
    result = call("explain", record["pack_serial"], "--store", store, "--recipes", tmp_path)
    assert "recipe AS52 revision 1" in " ".join(result.stdout.split())


def test_an_attempt_is_chosen_by_its_number(passed: Stored) -> None:
    told = json.loads(call("explain", SERIAL, "--attempt", 1, "--json", "--store", passed[0]).stdout)
    assert told["record_id"] != passed[1]["record_id"]
    assert told["findings"] == []


def test_an_open_attempt_is_said_to_be_open(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        journal.open_run(opened())
        journal.close()

    on_loop(main)
    result = call("explain", SERIAL, "--store", tmp_path)
    assert result.exit_code == 0
    assert "The attempt is not closed yet." in result.stdout
    assert "identify, precharge: not run yet" in " ".join(result.stdout.split())
    path = Path(call("records", "report", SERIAL, "--store", tmp_path).stdout.strip())
    assert "The attempt is not closed yet." in path.read_text("utf-8")


@pytest.mark.parametrize("command", [["explain"], ["records", "report"]])
@pytest.mark.parametrize(("arguments", "said"), [(["nobody"], "nobody;"), ([SERIAL, "--attempt", "3"], "attempt 3;")])
def test_who_is_unknown_is_exit_1(passed: Stored, command: list[str], arguments: list[str], said: str) -> None:
    result = call(*command, *arguments, "--store", passed[0])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"has no record of {SERIAL if 'attempt' in said else ''}" in result.stderr
    assert said in result.stderr


@pytest.mark.parametrize("command", [["explain"], ["records", "report"]])
def test_a_store_that_cannot_be_read_is_exit_3(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "store.db").write_bytes(b"rubbish" * 100)
    result = call(*command, "x", "--store", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert str(tmp_path) in result.stderr


@pytest.mark.parametrize("command", [["explain"], ["records", "report"]])
def test_usage(command: list[str]) -> None:
    for arguments in ([], ["x", "--attempt", "0"], ["x", "--recipes", "/nowhere"], ["x", "--store", ""]):
        assert call(*command, *arguments).exit_code == 2


def test_report_prints_the_path_of_the_page_and_nothing_else(failed: Stored) -> None:
    store, record = failed
    result = call("records", "report", record["pack_serial"], "--store", store)
    path = store / "reports" / f"{record['record_id']}.html"
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")
    assert record["pack_serial"] in path.read_text("utf-8")


def test_report_that_cannot_be_written_is_exit_3(tmp_path: Path) -> None:
    store_of(tmp_path)
    (tmp_path / "reports").write_text("")
    result = call("records", "report", SERIAL, "--store", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "cannot be written" in result.stderr


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['bmsctl', 'explain', '--help']\nfrom bmsctl.cli.main import run\n"
        "try:\n    run()\nfinally:\n"
        "    sys.stderr.write(' '.join(sorted({'numpy', 'jinja2', 'sqlite3', 'asyncio'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
