"""`bmsctl recipe keygen` and `approve`, from two key pairs to an approved recipe, and every way to be refused."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bmsctl.cli.recipe import recipe
from bmsctl.compose.recipes import INSTALLED
from bmsctl.domain.people import Person, Role, SigningKey
from bmsctl.store.people import Change, PeopleFile

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ROLES = {"eva": Role.ENGINEER, "max": Role.ENGINEER, "quentin": Role.QUALITY, "ole": Role.OPERATOR}
PASSPHRASE = "correct horse"


def call(*arguments: str, passphrase: str | None = None) -> Result:
    options, typed = ((), None) if passphrase is None else (("--passphrase-stdin",), f"{passphrase}\n")
    result = CliRunner().invoke(recipe, [*arguments, *options], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def approve(*arguments: str, passphrase: str | None = PASSPHRASE) -> Result:
    return call("approve", *arguments, passphrase=passphrase)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with keys, registered in its people file, and a folder of recipes."""
    state = tmp_path_factory.mktemp("state")
    people = PeopleFile(state / "bmsctl" / "people.json")
    for name, role in ROLES.items():
        result = call("keygen", name, "--keys", str(state / "bmsctl" / "keys"), passphrase=PASSPHRASE)
        assert result.exit_code == 0
        assert f"bmsctl people set {name} --key {result.stdout.strip()} --as THEIR_ID" in result.stderr
        person = Person(name, name.title(), role, "x", keys=(SigningKey(result.stdout.strip(), role, LONG_AGO),))
        people.change(lambda all_, new=person: Change(all_.with_person(new), "person_added", {}, None), LONG_AGO)
    shutil.copytree(INSTALLED, state / "recipes")
    return state


@pytest.fixture
def state(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that the commands find by themselves."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("BMSCTL_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.delenv("BMSCTL_PEOPLE", raising=False)
    return tmp_path


def test_two_people_approve_a_pack(state: Path) -> None:
    assert approve("AS52", "--check", passphrase=None).exit_code == 4
    first = approve("AS52", "--as", "eva")
    assert first.exit_code == 0
    assert "author: Eva, engineer, " in first.stdout
    assert "AS52 revision 1: not approved yet, missing: a signature of quality\n" in first.stdout
    second = approve("AS52", "--as", "Quentin", "--json")
    told = json.loads(second.stdout)
    assert (second.exit_code, told["approved"], told["missing"], told["dismissed"]) == (0, True, [], [])
    assert [(one["person"], one["meaning"]) for one in told["signatures"]] == [
        ("eva", "author"),
        ("quentin", "approver"),
    ]
    assert told["file"] == str(state / "recipes" / "approvals" / "AS52-1.json")
    check = approve("AS52", "--check", passphrase=None)
    assert (check.exit_code, check.stdout.splitlines()[-1]) == (0, "AS52 revision 1: approved")
    assert approve(str(state / "recipes" / "packs" / "as52.toml"), "--check", passphrase=None).exit_code == 0


def test_a_changed_recipe_says_whose_signature_no_longer_counts(state: Path) -> None:
    assert approve("AS52", "--as", "eva").exit_code == 0
    path = state / "recipes" / "packs" / "as52.toml"
    path.write_text(path.read_text().replace('high = "71.25 mOhm"', 'high = "72 mOhm"'))
    result = approve("AS52", "--as", "quentin")
    assert result.exit_code == 0
    assert "the signature of Eva (engineer, " in result.stderr
    assert "does not count: the recipe was changed since" in result.stderr
    assert "author: Quentin" in result.stdout
    assert "missing: an engineer's signature" in result.stdout


@pytest.mark.parametrize(
    ("before", "arguments", "passphrase", "code", "said"),
    [
        (("eva",), ("AS52", "--as", "eva"), PASSPHRASE, 4, "the other must be somebody else"),
        (("eva",), ("AS52", "--as", "max"), PASSPHRASE, 4, "the other must be quality"),
        ((), ("AS52", "--as", "ole"), PASSPHRASE, 4, "Ole is operator; ask somebody who is engineer or quality"),
        ((), ("AS52", "--as", "nobody"), PASSPHRASE, 4, "knows no 'nobody'"),
        ((), ("AS52", "--as", "eva"), "wrong horse", 4, "not the passphrase"),
        (
            (),
            ("AS52", "--as", "eva", "--keys", "/none"),
            PASSPHRASE,
            2,
            "/none/eva.pem: No such file or directory; make",
        ),
        ((), ("AS52", "--as", "eva"), None, 2, "write it to stdin, with --passphrase-stdin"),
        ((), ("AS52", "--as", "eva", "--people", "/none/people.json"), PASSPHRASE, 4, "knows no 'eva'"),
        ((), ("AS52", "--as", "eva", "--approvals", "/proc/none"), PASSPHRASE, 2, "name another folder (--approvals)"),
        ((), ("AS99", "--as", "eva"), PASSPHRASE, 2, "AS99: no such pack"),
        ((), ("none.toml", "--as", "eva"), PASSPHRASE, 2, "no such file"),
        ((), ("AS52",), None, 2, "say who signs with --as ID, or ask with --check"),
        ((), ("AS52", "--as", "eva", "--check"), None, 2, "and not both"),
        ((), (), None, 2, "Missing argument"),
    ],
)
def test_what_is_refused(
    state: Path, before: tuple[str, ...], arguments: tuple[str, ...], passphrase: str | None, code: int, said: str
) -> None:
    for name in before:
        assert approve("AS52", "--as", name).exit_code == 0
    result = approve(*arguments, passphrase=passphrase)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert PASSPHRASE not in result.stderr


def test_a_recipe_that_cannot_be_compiled_is_not_signed(state: Path) -> None:
    path = state / "recipes" / "packs" / "as52.toml"
    path.write_text(path.read_text().replace('high = "71.25 mOhm"', 'high = "72 V"'))
    result = approve("AS52", "--as", "eva")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not in Ohm" in result.stderr
    assert not (state / "recipes" / "approvals").exists()


def test_damaged_files_are_named(state: Path) -> None:
    assert approve("AS52", "--as", "eva").exit_code == 0
    path = state / "recipes" / "approvals" / "AS52-1.json"
    path.write_text("{")
    result = approve("AS52", "--as", "quentin")
    assert (result.exit_code, f"{path}: not JSON" in result.stderr) == (2, True)
    (state / "bmsctl" / "people.json").write_text("{")
    assert approve("AS40", "--as", "eva").exit_code == 2


def test_a_file_elsewhere_is_approved_beside_itself(state: Path) -> None:
    path = state / "mine" / "as52.toml"
    path.parent.mkdir()
    path.write_text('extends = "packs/as52.toml"\n[pack]\nrevision = "2/b"\n')
    told = json.loads(approve(str(path), "--as", "eva", "--json").stdout)
    assert told["file"] == str(state / "mine" / "approvals" / "AS52-2%2Fb.json")
    assert Path(told["file"]).exists()


@pytest.mark.parametrize(
    ("arguments", "passphrase", "said"),
    [
        (("eva",), PASSPHRASE, "there is a key already; sign with that one, or move it away first"),
        (("zoe",), "short", "a passphrase has at least 8 characters"),
        (("../zoe",), PASSPHRASE, "'../zoe' is no id"),
        (("zoe",), None, "write it to stdin, with --passphrase-stdin"),
        (("zoe", "--keys", "/proc/none"), PASSPHRASE, "name another folder (--keys)"),
        ((), PASSPHRASE, "Missing argument 'ID'"),
    ],
)
def test_keys_that_are_not_made(state: Path, arguments: tuple[str, ...], passphrase: str | None, said: str) -> None:
    keys = state / "bmsctl" / "keys"
    before = {path: path.read_bytes() for path in keys.iterdir()}
    result = call("keygen", *arguments, passphrase=passphrase)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert {path: path.read_bytes() for path in keys.iterdir()} == before


def test_a_key_as_json(state: Path) -> None:
    told = json.loads(call("keygen", "zoe", "--json", passphrase=PASSPHRASE).stdout)
    assert (told["person"], told["file"]) == ("zoe", str(state / "bmsctl" / "keys" / "zoe.pem"))
    assert len(bytes.fromhex(told["public_key"])) == 32
