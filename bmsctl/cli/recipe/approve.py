"""`bmsctl recipe approve`: one of the two signatures that a recipe needs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bmsctl.cli.exits import FAILED, REFUSED, USAGE, leave
from bmsctl.cli.identity import Secrets, people_option, wall_now
from bmsctl.cli.options import json_option, recipes_option
from bmsctl.cli.recipe.keygen import keys_option, passphrase_option
from bmsctl.cli.recipe.naming import compiled, home_of, identity

if TYPE_CHECKING:
    from bmsctl.domain.approval import Approval
    from bmsctl.domain.recipe import Recipe


@click.command()
@click.argument("name", metavar="PACK|PATH")
@click.option("--as", "person", metavar="ID", help="Who signs.")
@click.option(
    "--check", "only_check", is_flag=True, help="Sign nothing; tell whether it is approved, by the exit code."
)
@click.option(
    "--approvals",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the signatures; by default `approvals` in the recipes folder.",
)
@recipes_option
@people_option
@keys_option
@passphrase_option
@json_option
def approve(
    name: str,
    person: str | None,
    only_check: bool,
    approvals: Path | None,
    recipes: Path | None,
    people_file: Path,
    keys: Path,
    passphrase_stdin: bool,
    as_json: bool,
) -> None:
    """Sign a recipe as it is. An engineer and a person of quality, in either order, approve it.

    The first signs as its author, the second as its approver. A recipe that is changed afterwards is signed anew.
    """
    from bmsctl.compose.approvals import FOLDER, approval_file, approval_of, may_sign, sign_recipe
    from bmsctl.compose.recipes import RecipeBook
    from bmsctl.compose.signing_keys import key_file, load_key
    from bmsctl.errors import RecipeError, Refused, StoreError
    from bmsctl.store.people import PeopleFile

    if (person is None) is not only_check:
        leave(USAGE, "say who signs with --as ID, or ask with --check, and not both")
    book, people = RecipeBook(recipes), PeopleFile(people_file)
    try:
        recipe = compiled(name, book)
        folder = approvals or home_of(name, book) / FOLDER
        if person is None:
            approval = approval_of(recipe, folder, people.read().people)
        else:
            signer = may_sign(recipe, folder, people, person, wall_now())
            click.echo(f"{recipe.id} revision {recipe.revision}, sha256 {recipe.sha256}", err=True)
            passphrase = Secrets(passphrase_stdin, "--passphrase-stdin").ask(f"passphrase of {signer.name}")
            key = load_key(key_file(keys, signer.id), passphrase)
            approval = sign_recipe(recipe, folder, people, signer.id, key, wall_now())
    except RecipeError as error:
        leave(FAILED, str(error))
    except Refused as error:
        leave(REFUSED, str(error))
    except StoreError as error:
        leave(USAGE, str(error))
    except OSError as error:
        leave(
            USAGE,
            f"{error.filename or keys}: {error.strerror}; make a key with `bmsctl recipe keygen`, or name its --keys",
        )
    _tell(recipe, approval, approval_file(folder, recipe), as_json)
    if only_check and approval.missing:
        leave(REFUSED)


def _tell(recipe: Recipe, approval: Approval, file: Path, as_json: bool) -> None:
    if as_json:
        told = {
            "recipe": identity(recipe),
            "approved": not approval.missing,
            "missing": list(approval.missing),
            "signatures": [signature.told() for signature in approval.counting],
            "dismissed": list(approval.dismissed),
            "file": os.fspath(file),
        }
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for signature in approval.counting:
        at = f"{signature.at.astimezone():%Y-%m-%d %H:%M}"
        click.echo(f"{signature.meaning}: {signature.name}, {signature.role}, {at}")
    for why in approval.dismissed:
        click.echo(why, err=True)
    state = f"not approved yet, missing: {' and '.join(approval.missing)}" if approval.missing else "approved"
    click.echo(f"{recipe.id} revision {recipe.revision}: {state}")
