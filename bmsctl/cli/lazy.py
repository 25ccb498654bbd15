"""A group of commands that are imported when called, never for `--help` or `--version`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows its commands by name, module and help alone until one is called; the module's command carries its name."""

    def __init__(self, *arguments: Any, commands_by_module: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._known = commands_by_module

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._known)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._known:
            return None
        command: click.Command = getattr(import_module(self._known[name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._known.items()])
