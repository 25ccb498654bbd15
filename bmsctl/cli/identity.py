"""Who asks: the people file, secrets typed or piped in, and what time it is."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import default_store

LINE_MAX = 4096


def default_people() -> Path:
    """The station's people, in the user's state folder."""
    return default_store() / "people.json"


class _PeoplePath(click.Path):
    """A file that the command itself will check; only an empty name is a usage error."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("is empty; name a file", param, ctx)
        return super().convert(value, param, ctx)


people_option = click.option(
    "--people",
    "people_file",
    type=_PeoplePath(),
    envvar="BMSCTL_PEOPLE",
    default=default_people,
    help="File of the people; by default the station's own.",
)


def wall_now() -> datetime:
    """The moment, in the time zone of this computer."""
    from bmsctl.drivers.links.clock import SystemClock

    return datetime.fromtimestamp(SystemClock().utc().unix_s, UTC).astimezone()


class Secrets:
    """Secrets in the order they are asked for: typed unseen at the terminal, or a line each of stdin."""

    def __init__(self, from_stdin: bool, option: str) -> None:
        """`option`: the one that says that they come on stdin, for messages."""
        self._from_stdin = from_stdin
        self._option = option

    def ask(self, what: str, new: bool = False) -> str:
        """The next secret; a new one is typed twice. Ends the command if there is nobody and nothing to ask."""
        if not self._from_stdin:
            if not sys.stdin.isatty():
                leave(USAGE, f"no terminal to ask for the {what} at; write it to stdin, with {self._option}")
            answer: str = click.prompt(what[:1].upper() + what[1:], hide_input=True, confirmation_prompt=new, err=True)
            return answer
        line = sys.stdin.readline(LINE_MAX)
        if not line:
            leave(USAGE, f"stdin ended before the {what}; write it there, on a line of its own")
        return line.rstrip("\r\n")
