"""`bmsctl people`: what it takes, what it shows, its exit codes; secrets come in unseen and never out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner, Result

from bmsctl.cli.people import people
from bmsctl.compose import accounts

EVA_PIN, QUENTIN_PIN, BADGE, KEY = "493817", "582940", "0411A2B3", "ab" * 32

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command on a people file of its own; `secrets` are the lines of stdin."""
    monkeypatch.setattr(accounts, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BMSCTL_PEOPLE", raising=False)

    def call(*arguments: str, secrets: tuple[str, ...] = ()) -> Result:
        options = ("--pin-stdin",) if secrets else ()
        result = CliRunner().invoke(people, [*arguments, *options], input="".join(f"{one}\n" for one in secrets))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return call


@pytest.fixture
def founded(call: Call) -> Call:
    """With Eva (engineer) and Quentin (quality, a badge)."""
    assert call("add", "eva", "--name", "Eva Adam", "--role", "engineer", secrets=(EVA_PIN,)).exit_code == 0
    arguments = ("add", "quentin", "--name", "Quentin Lé", "--role", "quality", "--as", "eva", "--badge")
    result = call(*arguments, "--hv-until", "2027-03-31", secrets=(EVA_PIN, QUENTIN_PIN, BADGE))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "quentin added: Quentin Lé, quality\n")
    return call


def test_list(founded: Call) -> None:
    result = founded("list")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["id", "name", "role", "hv_until", "badge", "key", "locked_until"],
        ["eva", "Eva", "Adam", "engineer", "-", "-", "-", "-"],
        ["quentin", "Quentin", "Lé", "quality", "2027-03-31", "yes", "-", "-"],
    ]


def test_list_as_json_shows_no_hash(founded: Call) -> None:
    eva, quentin = json.loads(founded("list", "--json").stdout)
    assert (eva["id"], eva["badge"], quentin["badge"], quentin["hv_until"]) == ("eva", False, True, "2027-03-31")
    assert set(eva) == {
        "id",
        "name",
        "role",
        "hv_until",
        "badge",
        "failures",
        "locked_until",
        "keys",
        "removed",
    }


def test_nobody_yet(call: Call) -> None:
    assert json.loads(call("list", "--json").stdout) == []
    assert json.loads(call("audit", "--json").stdout) == {"ok": True, "lines": [], "problems": []}


@pytest.mark.parametrize(
    ("arguments", "secrets", "code", "said"),
    [
        (("add", "zoe", "--name", "Z", "--role", "quality"), (EVA_PIN,), 4, "say who you are with --as ID"),
        (("add", "zoe", "--name", "Z", "--role", "quality", "--as", "eva"), ("000000", EVA_PIN), 4, "PIN is wrong"),
        (("add", "zoe", "--name", "Z", "--role", "quality", "--as", "nobody"), (EVA_PIN, EVA_PIN), 4, "PIN is wrong"),
        (("add", "EVA", "--name", "Z", "--role", "quality", "--as", "eva"), (EVA_PIN, EVA_PIN), 2, "had, this id"),
        (("add", "zoe", "--name", "Z", "--role", "quality", "--as", "eva"), (EVA_PIN, "111111"), 2, "is tried first"),
        (
            ("add", "zoe", "--name", "Z", "--role", "quality", "--as", "eva"),
            (EVA_PIN,),
            2,
            "stdin ended before the new",
        ),
        (("add", "zoe", "--name", "Z", "--role", "boss"), (EVA_PIN,), 2, "'boss' is not one of"),
        (
            ("add", "zoe", "--name", "Z", "--role", "quality", "--as", "eva"),
            (),
            2,
            "write it to stdin, with --pin-stdin",
        ),
        (("add", "zoe", "--role", "quality"), (EVA_PIN,), 2, "Missing option '--name'"),
        (("set", "eva", "--hv-until", "2030-02-30", "--as", "eva"), (EVA_PIN,), 2, "'2030-02-30' is no date"),
        (("set", "eva", "--hv-until", "2030-03-01", "--as", "eva"), (EVA_PIN,), 4, "nobody administers their own"),
        (("set", "eva"), (EVA_PIN,), 2, "nothing to change"),
        (("set", "eva", "--badge", "--no-badge"), (EVA_PIN,), 2, "--badge and --no-badge contradict each other"),
        (("set", "nobody", "--unlock", "--as", "eva"), (EVA_PIN,), 2, "nobody: no such person; known: eva, quentin"),
        (("set", "quentin", "--key", "xy", "--as", "eva"), (EVA_PIN, QUENTIN_PIN), 2, "that is no public key"),
        (("set", "quentin", "--key", KEY, "--as", "eva"), (EVA_PIN, EVA_PIN), 4, "PIN is wrong"),
        (("remove", "eva", "--as", "eva"), (EVA_PIN,), 4, "nobody administers their own account"),
        (("remove", "eva"), (EVA_PIN,), 2, "Missing option '--as'"),
    ],
)
def test_what_is_refused(
    founded: Call, arguments: tuple[str, ...], secrets: tuple[str, ...], code: int, said: str
) -> None:
    before = founded("list", "--json").stdout
    result = founded(*arguments, secrets=secrets)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert not any(secret in result.stderr for secret in secrets)
    after = founded("list", "--json").stdout.replace('"failures": 1', '"failures": 0')
    assert after == before


def test_alterations(founded: Call) -> None:
    assert founded("set", "quentin", "--key", KEY, "--as", "eva", secrets=(EVA_PIN, QUENTIN_PIN)).exit_code == 0
    assert founded("set", "quentin", "--pin", secrets=(QUENTIN_PIN, "271828")).exit_code == 0
    arguments = ("set", "quentin", "--no-hv", "--no-badge", "--name", "Q", "--role", "engineer", "--as", "eva")
    assert founded(*arguments, secrets=(EVA_PIN,)).exit_code == 0
    _, quentin = json.loads(founded("list", "--json").stdout)
    assert (quentin["hv_until"], quentin["badge"], quentin["name"], quentin["role"]) == (None, False, "Q", "engineer")
    assert [(key["public"], key["until"] is None) for key in quentin["keys"]] == [(KEY, False)]


def test_a_lock_out_is_told_and_ended_by_an_administrator(founded: Call) -> None:
    for _ in range(5):
        result = founded("set", "quentin", "--pin", secrets=("000000", "271828"))
    assert (result.exit_code, "locked after too many wrong PINs, until" in result.stderr) == (4, True)
    assert founded("list").stdout.splitlines()[2].split()[-1].count(":") == 2
    assert founded("set", "quentin", "--unlock", "--as", "eva", secrets=(EVA_PIN,)).exit_code == 0
    assert founded("set", "quentin", "--pin", secrets=(QUENTIN_PIN, "271828")).exit_code == 0


def test_who_is_removed_is_gone_from_the_list_and_not_from_json(founded: Call) -> None:
    assert founded("remove", "quentin", "--as", "eva", secrets=(EVA_PIN,)).exit_code == 0
    assert "quentin" not in founded("list").stdout
    assert json.loads(founded("list", "--json").stdout)[1]["removed"] is not None


def test_audit_tells_what_happened_and_whether_it_was_touched(founded: Call, tmp_path: Path) -> None:
    told = json.loads(founded("audit", "--json").stdout)
    assert told["ok"]
    assert [line["kind"] for line in told["lines"]] == ["person_added", "logged_in", "person_added"]
    assert told["lines"][2]["told"]["by"] == "eva"
    assert "person quentin" in founded("audit").stdout
    log = tmp_path / "bmsctl" / "people.json.audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"people add", b"people set"))
    result = founded("audit")
    assert result.exit_code == 1
    assert "line 2 does not follow" in result.stderr


@pytest.mark.parametrize("arguments", [("list",), ("audit",), ("remove", "eva", "--as", "quentin")])
def test_a_file_that_cannot_be_used(call: Call, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    secrets = (EVA_PIN,) if arguments[0] == "remove" else ()
    path = tmp_path / "people.json"
    path.write_text('{"schema": 99}')
    result = call(*arguments, "--people", str(path), secrets=secrets)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "written by a newer bmsctl" in result.stderr


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("", 2, "is empty; name a file"), ("/", 3, "Is a directory"), ("/dev/null", 3, "not a regular file")],
)
def test_what_is_no_people_file(call: Call, name: str, code: int, said: str) -> None:
    for command in ("list", "audit"):
        result = call(command, "--people", name)
        assert (result.exit_code, result.stdout) == (code, "")
        assert said in result.stderr


def test_the_file_may_be_named_by_the_environment(
    founded: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMSCTL_PEOPLE", str(tmp_path / "other.json"))
    assert json.loads(founded("list", "--json").stdout) == []


def test_a_pin_is_asked_twice_at_the_terminal_and_not_shown(tmp_path: Path) -> None:
    arguments = ["add", "eva", "--name", "Eva", "--role", "engineer", "--people", str(tmp_path / "people.json")]
    terminal, its_end = os.openpty()
    command = [sys.executable, "-m", "bmsctl", "people", *arguments]
    with subprocess.Popen(command, stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True) as child:
        said = b""
        for prompt in (b"New PIN of eva: ", b"Repeat for confirmation: "):
            while not said.endswith(prompt):
                said += os.read(terminal, 1000)
            os.write(terminal, f"{EVA_PIN}\n".encode())
        while b"added" not in said:
            said += os.read(terminal, 1000)
        assert child.wait() == 0
    os.close(its_end)
    os.close(terminal)
    assert EVA_PIN.encode() not in said
