"""`bmsctl recipe keygen`: the key pair that a person signs recipes with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.identity import Secrets
from bmsctl.cli.options import default_store, json_option


def default_keys() -> Path:
    """The user's own, in their state folder."""
    return default_store() / "keys"


keys_option = click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_keys,
    help="Folder of private keys; by default in the user's state folder.",
)

passphrase_option = click.option(
    "--passphrase-stdin", is_flag=True, help="Read the passphrase from stdin and ask for nothing."
)


@click.command()
@click.argument("person", metavar="ID")
@keys_option
@passphrase_option
@json_option
def keygen(person: str, keys: Path, passphrase_stdin: bool, as_json: bool) -> None:
    """Make the key pair of the person ID, and print its public key.

    The private key stays here, encrypted with a passphrase. The public one counts once an administrator has
    registered it.
    """
    from bmsctl.compose.signing_keys import key_file, make_key
    from bmsctl.domain.people import check_id

    try:
        path = key_file(keys, check_id(person))
        if os.path.lexists(path):
            raise FileExistsError
        public = make_key(path, Secrets(passphrase_stdin, "--passphrase-stdin").ask("passphrase", new=True))
    except FileExistsError:
        leave(USAGE, f"{path}: there is a key already; sign with that one, or move it away first")
    except OSError as error:
        leave(USAGE, f"{error.filename or keys}: {error.strerror}; name another folder (--keys)")
    except ValueError as error:
        leave(USAGE, str(error))
    click.echo(json.dumps({"person": person, "public_key": public, "file": os.fspath(path)}) if as_json else public)
    click.echo(
        f"private key: {path}\nHave another engineer or quality register the public one:\n"
        f"  bmsctl people set {person} --key {public} --as THEIR_ID",
        err=True,
    )
