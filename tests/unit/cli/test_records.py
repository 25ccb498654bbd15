"""`bmsctl records` as a person or a script meets it: the installed command in its own process."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from bmsctl.cli.records import records
from bmsctl.errors import StoreError
from bmsctl.store.journal import Journal
from tests.support.attempts import SERIAL, StoryClock, on_loop, opened, store_of

COLUMNS = ["started_at", "pack", "pack_serial", "station", "attempt", "verdict", "disposition", "record_id"]
RECORDS = [sys.executable, "-m", "bmsctl", "records"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A store with two attempts, not to be changed."""
    folder = tmp_path_factory.mktemp("cli") / "store"
    return folder, store_of(folder, attempts=2)


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "BMSCTL_STORE"} | environment
    return subprocess.run([*RECORDS, *map(str, arguments)], capture_output=True, text=True, env=env, check=False)


def test_list_is_aligned_text_on_a_pipe(store: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = store
    done = _run("list", "--store", folder)
    assert (done.returncode, done.stderr) == (0, "")
    header, first, second = done.stdout.splitlines()
    assert header.split() == COLUMNS
    assert first.split()[2:] == [SERIAL, "eol", "1", "PASS", "release", records[0]["record_id"]]
    assert header.index("record_id") == second.index(records[1]["record_id"])


def test_list_json(store: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = store
    listed = json.loads(_run("list", "--json", BMSCTL_STORE=str(folder)).stdout)
    assert [each["record_id"] for each in listed] == [record["record_id"] for record in records]
    assert all(
        record[key] == value for each, record in zip(listed, records, strict=True) for key, value in each.items()
    )


@pytest.mark.parametrize("attempt", [None, 1, 2])
def test_show_json_is_the_record(store: tuple[Path, list[dict[str, Any]]], attempt: int | None) -> None:
    folder, records = store
    option = [] if attempt is None else ["--attempt", attempt]
    done = _run("show", SERIAL, *option, "--json", "--store", folder)
    assert done.returncode == 0
    assert json.loads(done.stdout) == records[1 if attempt is None else attempt - 1]


def test_show_by_id_in_words(store: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = store
    done = _run("show", records[0]["record_id"], "--store", folder)
    assert done.returncode == 0
    for text in (SERIAL, "PASS", "release", "docking_voltage", "50.12", "Ohm"):
        assert text in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("arguments", [("other",), (SERIAL, "--attempt", 3)])
def test_show_of_what_is_not_there(store: tuple[Path, list[dict[str, Any]]], arguments: tuple[object, ...]) -> None:
    done = _run("show", *arguments, "--store", store[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no record" in done.stderr


def test_verify_of_a_good_store(store: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = store
    assert _run("verify", "--store", folder).stdout == "OK: 2 records verified\n"
    one = _run("verify", records[0]["record_id"], "--json", "--store", folder)
    assert one.returncode == 0
    assert json.loads(one.stdout) == {"ok": True, "records": 1, "findings": [], "notices": [], "unreadable": None}


def test_verify_of_a_changed_store_names_run_and_event(tmp_path: Path) -> None:
    (record,) = store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE event SET payload = replace(payload, '50.125', '51.125')")
    done = _run("verify", "--store", tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{record['record_id']}: event 13: ")
    findings = json.loads(_run("verify", "--json", "--store", tmp_path).stdout)["findings"]
    assert [(each["record_id"], each["seq"]) for each in findings] == [(record["record_id"], 13)]
    shown = _run("show", SERIAL, "--store", tmp_path)
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "damaged at event 13" in shown.stderr


def test_an_open_attempt_is_said_to_be_open_and_verifies(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal.open(tmp_path, StoryClock())
        journal.open_run(opened())
        journal.close()

    on_loop(main)
    done = _run("verify", "--store", tmp_path)
    assert (done.returncode, done.stdout) == (0, "OK: 1 record verified, 1 of them still open\n")
    assert "open" in done.stderr
    listed = _run("list", "--store", tmp_path)
    assert listed.stdout.splitlines()[1].split()[5:7] == ["open", "-"]
    assert "next start" in listed.stderr
    shown = _run("show", SERIAL, "--store", tmp_path)
    assert shown.stdout.startswith("open ")
    assert "next start" in shown.stderr
    for command in (["list"], ["show", SERIAL]):
        done = _run(*command, "--json", "--store", tmp_path)
        assert done.stderr == ""
        assert '"verdict": null' in done.stdout


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["verify"]])
@pytest.mark.parametrize("made", ["nothing", "rubbish", "newer"])
def test_a_store_that_cannot_be_read_is_exit_3_and_no_traceback(tmp_path: Path, command: list[str], made: str) -> None:
    if made == "rubbish":
        (tmp_path / "store.db").write_bytes(b"rubbish" * 100)
    elif made == "newer":
        store_of(tmp_path)
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
    done = _run(*command, "--store", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _run("list", "--store", tmp_path / "file")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--store" in done.stderr


def test_a_folder_that_may_not_be_read_is_no_wrong_usage(
    store: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, whom nothing is forbidden."""
    monkeypatch.setattr("os.access", lambda *_: False)
    done = CliRunner().invoke(records, ["list", "--store", str(store[0])])
    assert done.exit_code == 0


def test_list_and_show_of_a_tampered_row_agree(tmp_path: Path) -> None:
    store_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE run SET verdict = 'FAIL', disposition = 'hold'")
    assert _run("list", "--store", tmp_path).stdout.splitlines()[1].split()[5:7] == ["PASS", "release"]
    assert _run("show", SERIAL, "--store", tmp_path).stdout.startswith("PASS ")


def test_a_refused_start_leaves_nothing_to_be_listed(tmp_path: Path) -> None:
    store_of(tmp_path)
    (tmp_path / "store.db").unlink()
    with pytest.raises(StoreError, match="restore"):
        Journal.open(tmp_path, StoryClock())
    assert not (tmp_path / "store.db").exists()
    for command in ("list", "verify"):
        done = _run(command, "--store", tmp_path)
        assert (done.returncode, done.stdout) == (3, "")
        assert "heads.log names records" in done.stderr


def test_the_default_store_is_the_stations_own(tmp_path: Path) -> None:
    store_of(tmp_path / "bmsctl")
    assert _run("verify", XDG_STATE_HOME=str(tmp_path)).returncode == 0
    store_of(tmp_path / ".local" / "state" / "bmsctl", attempts=2)
    assert "2 records" in _run("verify", XDG_STATE_HOME="", HOME=str(tmp_path)).stdout


def test_the_schema_is_valid_and_fits(store: tuple[Path, list[dict[str, Any]]]) -> None:
    schema = json.loads(_run("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(store[1][0])


@pytest.mark.parametrize("arguments", [("list", "--colour"), ("show",), ("show", "x", "--attempt", "0"), ("forget",)])
def test_usage(arguments: tuple[str, ...]) -> None:
    assert _run(*arguments).returncode == 2


def test_a_table_is_coloured_on_a_terminal_and_never_cut(store: tuple[Path, list[dict[str, Any]]]) -> None:
    master, slave = pty.openpty()
    env = os.environ | {"COLUMNS": "40", "TERM": "xterm-256color"}
    subprocess.run([*RECORDS, "list", "--store", str(store[0])], stdout=slave, env=env, check=True)
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    assert store[1][1]["record_id"].encode() in shown
    assert b"\x1b[" in shown


def test_a_closed_stdout_ends_quietly(store: tuple[Path, list[dict[str, Any]]]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [*RECORDS, "show", SERIAL, "--json", "--store", str(store[0])]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize("command", [["list"], ["show", SERIAL], ["verify"], ["schema"]])
def test_nothing_heavy_is_imported(store: tuple[Path, list[dict[str, Any]]], command: list[str]) -> None:
    script = (
        "import sys\nsys.argv = ['bmsctl', 'records', *sys.argv[1:]]\nfrom bmsctl.cli.main import run\n"
        "try:\n    run()\nfinally:\n"
        "    heavy = {'sqlalchemy', 'alembic', 'numpy', 'rich', 'asyncio', 'pydantic'} & set(sys.modules)\n"
        "    sys.stderr.write(' '.join(sorted(heavy)))"
    )
    arguments = command if command == ["schema"] else [*command, "--store", str(store[0])]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == ""
