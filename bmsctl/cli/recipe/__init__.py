"""`bmsctl recipe`: what packs are tested by, where each number came from, what changed, and who has signed it."""

from __future__ import annotations

import click

from bmsctl.cli.lazy import LazyGroup

COMMANDS = {
    "check": ("bmsctl.cli.recipe.check", "Compile recipes and tell everything that is wrong with them."),
    "show": ("bmsctl.cli.recipe.show", "Show every resolved value of a recipe, with file, line and reason."),
    "diff": ("bmsctl.cli.recipe.diff", "What changed between two recipes, and whether it is tighter or looser."),
    "approve": ("bmsctl.cli.recipe.approve", "Sign a recipe; two people of different roles approve it."),
    "keygen": ("bmsctl.cli.recipe.keygen", "Make the key pair that a person signs recipes with."),
}


@click.group(cls=LazyGroup, commands_by_module=COMMANDS)
def recipe() -> None:
    """Check, show, compare and sign recipes."""
