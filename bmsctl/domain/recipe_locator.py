"""Where each key of a TOML document stands: the line numbers that tomllib does not tell.

A scanner, not a parser: it is given only documents that tomllib has accepted, so it checks nothing, and it
skips values without reading them, except inline tables, whose keys count like any other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC_LINES = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL)
_LITERAL_LINES = re.compile(r"'''.*?'{3,5}", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}#\r\n]*")


def locate(text: str) -> Mapping[Path, int]:
    """Line, from 1, of every table header and key of a valid TOML text.

    Elements of an array of tables are counted from 0: `("eol", "step", 0, "run")`. Keys inside plain arrays
    are not listed.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._text.startswith("[[", self._at):
                table = self._header(2, array=True)
            elif self._text[self._at] == "[":
                table = self._header(1, array=False)
            else:
                self._key_value(table)
        return self._lines

    def _skip_blank(self) -> bool:
        """Go to the next token; False at the end of the text."""
        found = _BLANK.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return self._at < len(self._text)

    def _note(self, path: Path) -> None:
        """Remember the line of a key and, unless known, of the tables it makes by being dotted."""
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        self._lines[path] = self._line
        for size in range(1, len(path)):
            self._lines.setdefault(path[:size], self._line)

    def _header(self, brackets: int, *, array: bool) -> Path:
        at = self._at
        self._at += brackets
        written = self._key()
        after, self._at = self._at, at
        path: Path = ()
        for depth, part in enumerate(written, 1):
            path = (*path, part)
            if array and depth == len(written):
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        self._note(path)
        self._at = self._text.index("]", after) + brackets
        return path

    def _key(self) -> tuple[str, ...]:
        """Read a key, dotted or not, and the blanks behind it."""
        parts = []
        while True:
            self._skip_blank()
            quote = self._text[self._at]
            pattern = {'"': _BASIC, "'": _LITERAL}.get(quote, _BARE_KEY)
            part = self._match(pattern)
            parts.append(next(iter(tomllib.loads(f"{part} = 0"))) if quote in "\"'" else part)
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return tuple(parts)
            self._at += 1

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return found[0]

    def _key_value(self, table: Path) -> None:
        at = self._at
        written = self._key()
        equals, self._at = self._at, at
        path = (*table, *written)
        self._note(path)
        self._at = equals + 1
        self._value(path)

    def _value(self, path: Path | None) -> None:
        """Skip a value; note the keys of an inline table that stands at `path`."""
        self._skip_blank()
        for start, pattern in (('"""', _BASIC_LINES), ("'''", _LITERAL_LINES), ('"', _BASIC), ("'", _LITERAL)):
            if self._text.startswith(start, self._at):
                self._match(pattern)
                return
        if self._text[self._at] == "[":
            self._items("]", None)
        elif self._text[self._at] == "{":
            self._items("}", path)
        else:
            self._match(_PLAIN)

    def _items(self, end: str, path: Path | None) -> None:
        """Skip an array, or an inline table whose keys are noted if it has a path."""
        self._at += 1
        while self._skip_blank() and self._text[self._at] != end:
            if end == "]":
                self._value(None)
            elif path is None:
                self._key()
                self._at += 1
                self._value(None)
            else:
                self._key_value(path)
            self._skip_blank()
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1
