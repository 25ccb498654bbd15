"""`bmsctl people`: who may use the station, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bmsctl.cli.exits import FAILED, OK, REFUSED, STATION, USAGE, leave
from bmsctl.cli.identity import Secrets, people_option, wall_now
from bmsctl.cli.options import json_option

if TYPE_CHECKING:
    from bmsctl.compose.accounts import Accounts
    from bmsctl.domain.people import Person

ROLES = ("operator", "technician", "engineer", "quality")
PIN_STDIN = "--pin-stdin"


class Day(click.ParamType[date]):
    """A date, as 2027-03-31."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date; write it like 2027-03-31", param, ctx)


as_option = click.option(
    "--as", "by", metavar="ID", help="The engineer or quality who does it, and whose PIN is asked."
)
pin_stdin_option = click.option(
    PIN_STDIN, is_flag=True, help="Read from stdin, a line each: PIN of --as, with --key PIN of ID, new PIN, badge."
)
hv_option = click.option("--hv-until", type=Day(), help="Last day of the qualification for live work, as 2027-03-31.")


@click.group()
def people() -> None:
    """Add, alter and list who may use the station."""


@people.command()
@click.argument("person", metavar="ID")
@click.option("--name", required=True, help="As records and signatures show it.")
@click.option("--role", type=click.Choice(ROLES), required=True)
@hv_option
@click.option("--badge", is_flag=True, help="Scan the person's badge, too.")
@as_option
@pin_stdin_option
@people_option
def add(
    person: str,
    name: str,
    role: str,
    hv_until: date | None,
    badge: bool,
    by: str | None,
    pin_stdin: bool,
    people_file: Path,
) -> None:
    """Make an account. The first one needs no --as, and must be an engineer's or quality's."""
    from bmsctl.compose import accounts, people_admin
    from bmsctl.domain.people import Role
    from bmsctl.store.people import PeopleFile

    file, typed, pins = PeopleFile(people_file), Secrets(pin_stdin, PIN_STDIN), accounts.Secrets()
    with _ending():
        administrator = _administrator(accounts.Accounts(file, pins=pins), by, typed, "people add")
        pin = typed.ask(f"new PIN of {person}", new=True)
        content = typed.ask("badge (scan it)") if badge else None
        new = people_admin.NewPerson(person, name, Role(role), pin, content, hv_until)
        people_admin.add_person(file, pins, new, administrator, wall_now())
    click.echo(f"{person} added: {name}, {role}", err=True)


@people.command("set")
@click.argument("person", metavar="ID")
@click.option("--name", help="As records and signatures show it.")
@click.option("--role", type=click.Choice(ROLES), help="A new role; the person then needs a new key to sign with.")
@hv_option
@click.option("--no-hv", is_flag=True, help="Not qualified for live work any more.")
@click.option("--pin", is_flag=True, help="A new PIN; one's own, or another's who forgot it.")
@click.option("--badge", is_flag=True, help="Another badge; scan it.")
@click.option("--no-badge", is_flag=True, help="No badge any more.")
@click.option("--unlock", is_flag=True, help="End a lock-out.")
@click.option("--key", metavar="HEX", help="Public key that ID signs recipes with from now on; ID's PIN is asked, too.")
@click.option("--revoke-keys", is_flag=True, help="Their keys are not trusted: nothing they ever signed counts.")
@as_option
@pin_stdin_option
@people_option
def set_(
    person: str, by: str | None, pin_stdin: bool, people_file: Path, pin: bool, badge: bool, **altered: Any
) -> None:
    """Alter the account ID. Whoever does it is asked for their PIN; without --as, that is ID."""
    from bmsctl.compose import accounts, people_admin
    from bmsctl.domain.people import Role
    from bmsctl.store.people import PeopleFile

    for one, other in (("hv_until", "no_hv"), ("badge", "no_badge")):
        if {"badge": badge, **altered}[one] and altered[other]:
            leave(USAGE, f"--{one.replace('_', '-')} and --{other.replace('_', '-')} contradict each other; give one")
    altered["role"] = altered["role"] and Role(altered["role"])
    if not (pin or badge or not people_admin.Alteration(**altered).empty):
        leave(USAGE, "nothing to change; say what, see --help")
    file, typed, pins = PeopleFile(people_file), Secrets(pin_stdin, PIN_STDIN), accounts.Secrets()
    with _ending():
        doer = _administrator(accounts.Accounts(file, pins=pins), by or person, typed, "people set")
        assert doer is not None
        if altered["key"] is not None:
            # Both must be there: else an administrator could register a key of their own in another's name.
            _administrator(accounts.Accounts(file, pins=pins), person, typed, "key of one's own")
        altered["pin"] = typed.ask(f"new PIN of {person}", new=True) if pin else None
        altered["badge"] = typed.ask("badge (scan it)") if badge else None
        people_admin.alter_person(file, pins, person, people_admin.Alteration(**altered), doer, wall_now())
    click.echo(f"{person} changed", err=True)


@people.command()
@click.argument("person", metavar="ID")
@click.option("--as", "by", metavar="ID", required=True, help="The engineer or quality who does it.")
@pin_stdin_option
@people_option
def remove(person: str, by: str, pin_stdin: bool, people_file: Path) -> None:
    """End the account ID. What the person signed before counts, unless their keys are revoked (set --revoke-keys)."""
    from bmsctl.compose.accounts import Accounts
    from bmsctl.compose.people_admin import remove_person
    from bmsctl.store.people import PeopleFile

    file = PeopleFile(people_file)
    with _ending():
        doer = _administrator(Accounts(file), by, Secrets(pin_stdin, PIN_STDIN), "people remove")
        assert doer is not None
        remove_person(file, person, doer, wall_now())
    click.echo(f"{person} removed", err=True)


@people.command("list")
@people_option
@json_option
def list_(people_file: Path, as_json: bool) -> None:
    """List the accounts; with --json, whoever has left, too."""
    from bmsctl.cli.tables import print_table
    from bmsctl.domain.people import locked_out
    from bmsctl.store.people import PeopleFile

    with _ending():
        everybody = PeopleFile(people_file).read().people
    if as_json:
        click.echo(json.dumps([_json(person) for person in everybody], ensure_ascii=False, indent=2))
        return
    now = wall_now()
    rows = [
        (
            person.id,
            person.name,
            person.role.value,
            person.hv_until,
            "yes" if person.badge else None,
            None if person.key is None else person.key.public,
            f"{person.locked_until.astimezone():%H:%M:%S}" if person.locked_until and locked_out(person, now) else None,
        )
        for person in everybody
        if person.removed is None
    ]
    print_table(("id", "name", "role", "hv_until", "badge", "key", "locked_until"), rows)


@people.command()
@people_option
@json_option
def audit(people_file: Path, as_json: bool) -> None:
    """Print the log of logins, failures, lock-outs, changes and signatures, and prove that it is whole."""
    from bmsctl.store.audit import read
    from bmsctl.store.people import PeopleFile

    file = PeopleFile(people_file)
    with _ending():
        lines, problems = read(file.log, file.read().head)
    if as_json:
        told = [{"seq": one.seq, "kind": one.kind, "at": _utc(one.utc_s)} | {"told": one.payload} for one in lines]
        click.echo(json.dumps({"ok": not problems, "lines": told, "problems": problems}, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            click.echo(f"{_utc(line.utc_s)}  {line.kind:<14}  {_said(line.payload)}")
    for problem in problems:
        click.echo(f"{file.log}: {problem}", err=True)
    leave(FAILED if problems else OK)


def _administrator(accounts: Accounts, by: str | None, typed: Secrets, purpose: str) -> Person | None:
    """Who does it, by their PIN; None: nobody says who they are, as for the first account."""
    if by is None:
        return None
    return accounts.authenticate(by, typed.ask(f"PIN of {by}"), wall_now(), purpose)


@contextmanager
def _ending() -> Iterator[None]:
    """What forbids a change ends the command with the code that says who has to act."""
    from bmsctl.errors import Refused, StoreError

    try:
        yield
    except Refused as error:
        leave(REFUSED, str(error))
    except StoreError as error:
        leave(STATION, str(error))
    except OSError as error:
        leave(STATION, f"{error.filename}: {error.strerror}; name another file (--people)")
    except ValueError as error:
        leave(USAGE, str(error))


def _json(person: Person) -> dict[str, Any]:
    """All that may be shown: no hash."""
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role.value,
        "hv_until": _text(person.hv_until),
        "badge": person.badge is not None,
        "failures": person.failures,
        "locked_until": _text(person.locked_until),
        "keys": [
            {"public": key.public, "role": key.role.value, "since": _text(key.since), "until": _text(key.until)}
            for key in person.keys
        ],
        "removed": _text(person.removed),
    }


def _text(moment: date | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _utc(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _said(payload: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in payload.items() if value is not None)
