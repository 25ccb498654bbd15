"""Recipe files read, each value with its place, and laid over what they extend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

from bmsctl.domain.recipe import SELFTEST, STATIONS
from bmsctl.domain.recipe_locator import Path, locate
from bmsctl.errors import RecipeError

BYTES_MAX = 256 * 1024
EXTENDS_MAX = 8

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place. `value` is a dict of nodes for a table, else what TOML says."""

    value: Any
    file: str
    line: int


@dataclass
class Findings:
    """What is wrong, collected so that one run tells everything."""

    texts: list[str] = field(default_factory=list)

    def add(self, at: Node, key: str, what: str) -> None:
        """Note what is wrong with the key at a place; `what` ends in `; remedy`."""
        shown = key if key.isprintable() else repr(key)
        self.texts.append(f"{at.file}:{at.line}: {shown}: {what}")

    def end(self, at: Node, key: str, what: str) -> NoReturn:
        """Note it and give up: nothing that follows could be trusted."""
        self.add(at, key, what)
        raise RecipeError(self.texts)


def load(path: str, read: Read, findings: Findings) -> Node:
    """The recipe at `path` laid over everything it extends: `pack`, and per station its steps by name.

    Raises:
        RecipeError: a file cannot be read at all, or the chain of `extends` is broken.
    """
    chain = [_document(path, read, findings, Node(None, path, 1))]
    seen = [path]
    while (extends := chain[-1].value.get("extends")) is not None:
        parent = _parent(extends, seen, findings)
        seen.append(parent)
        chain.append(_document(parent, read, findings, extends))
    tree = _by_step(chain.pop(), findings)
    while chain:
        tree = _overlay(tree, _by_step(chain.pop(), findings))
    return tree


def _parent(extends: Node, seen: list[str], findings: Findings) -> str:
    name = extends.value
    if not isinstance(name, str) or not name:
        findings.end(extends, "extends", 'not a file name; write extends = "platforms/….toml"')
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        findings.end(extends, "extends", f"{name!r} leaves the recipes folder; name the file from that folder on")
    if name in seen:
        circle = " → ".join([*seen[seen.index(name) :], name])
        findings.end(extends, "extends", f"cyclic: {circle}; remove one extends")
    if len(seen) == EXTENDS_MAX:
        findings.end(extends, "extends", f"more than {EXTENDS_MAX} files in a chain; extend a file nearer to the root")
    return name


def _document(path: str, read: Read, findings: Findings, named_at: Node) -> Node:
    """One file as a tree of nodes. `named_at`: where the file was asked for."""
    start = Node(None, path, 1)
    try:
        data = read(path)
    except OSError as error:
        why = error.strerror or str(error)
        key = "file" if named_at.value is None else "extends"
        findings.end(named_at, key, f"{path} cannot be read ({why}); name an existing recipe file")
    if len(data) > BYTES_MAX:
        findings.end(start, "file", f"too large, more than {BYTES_MAX // 1024} KiB; a recipe is a few pages")
    if data.startswith(b"\xef\xbb\xbf"):
        findings.end(start, "file", "begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.end(Node(None, path, line), "file", "not UTF-8; save it as UTF-8")
    try:
        return _parsed(path, text)
    except RecursionError:
        findings.end(start, "file", "nested too deeply; a recipe needs no more than tables in tables")
    except ValueError as error:
        found = re.search(r"line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        findings.end(Node(None, path, line), "file", f"not TOML: {error}; correct the syntax")


@lru_cache(maxsize=32)
def _parsed(path: str, text: str) -> Node:
    """The tree of a TOML text; ValueError or RecursionError if it is none."""
    return _tree(tomllib.loads(text), (), locate(text), Node(None, path, 1))


def _tree(value: Any, path: Path, lines: Mapping[Path, int], parent: Node) -> Node:
    here = Node(value, parent.file, lines.get(path, parent.line))
    if isinstance(value, dict):
        return Node({key: _tree(item, (*path, key), lines, here) for key, item in value.items()}, here.file, here.line)
    if isinstance(value, list):
        return Node([_tree(item, (*path, i), lines, here) for i, item in enumerate(value)], here.file, here.line)
    return here


def _by_step(document: Node, findings: Findings) -> Node:
    """The document with each station's array of steps turned into a table by name of step."""
    tables = {key: node for key, node in document.value.items() if key != "extends"}
    for station in (*STATIONS, SELFTEST):
        if station in tables:
            tables[station] = Node(_steps(tables[station], station, findings), document.file, tables[station].line)
    return Node(tables, document.file, document.line)


def _steps(node: Node, station: str, findings: Findings) -> dict[str, Node]:
    table = node.value if isinstance(node.value, dict) else {}
    steps = table.get("step", Node([], node.file, node.line))
    if not isinstance(node.value, dict) or not isinstance(steps.value, list):
        findings.end(node, station, f"not a list of steps; write [[{station}.step]]")
    for key in (key for key in table if key != "step"):
        findings.add(table[key], f"{station}.{key}", f"unknown key; only [[{station}.step]] is allowed here")
    by_name: dict[str, Node] = {}
    for step in steps.value:
        run = step.value.get("run") if isinstance(step.value, dict) else None
        if run is None or not isinstance(run.value, str):
            findings.add(
                run or step, f"{station}.step.run", 'missing or not text; write run = "…" with the step\'s name'
            )
        elif run.value in by_name:
            first = by_name[run.value].line
            findings.add(step, f"{station}.{run.value}", f"defined twice, first in line {first}; merge the two")
        else:
            by_name[run.value] = step
    return by_name


def _overlay(below: Node, above: Node) -> Node:
    """`above` laid over `below` key by key; a table with a `value` is one value and replaced whole."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict) or "value" in above.value:
        return above
    merged = dict(below.value)
    for key, node in above.value.items():
        merged[key] = _overlay(merged[key], node) if key in merged else node
    return Node(merged, above.file, above.line)
