"""Single values of a recipe: checked, converted, and their origin noted.

Every scalar may be written plain, or as `{ value = …, why = "…" }`. All methods return None after a finding.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from bmsctl.domain.recipe import Origin
from bmsctl.domain.recipe_compiler_sources import Findings, Node
from bmsctl.domain.units import Volt, parse_quantity, split_quantity

TEXT_MAX = 1000
COUNT_MAX = 10**9

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")

T = TypeVar("T")


class Values:
    """Reads values; findings and origins accumulate."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.origins: dict[str, Origin] = {}
        self.u_max: Volt | None = None

    def table(self, node: Node | None, key: str, allowed: Iterable[str], what: str = "key") -> Mapping[str, Node]:
        """The entries of a table that are allowed; empty if there is no table."""
        if node is None:
            return {}
        known = tuple(allowed)
        if not isinstance(node.value, dict):
            self.findings.add(node, key, f"not a table; write it with the keys {', '.join(known)}")
            return {}
        for name in (name for name in node.value if name not in known):
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known) or 'none'}"
            self.findings.add(node.value[name], f"{key}.{name}" if key else name, f"unknown {what}; {remedy}")
        return {name: item for name, item in node.value.items() if name in known}

    def missing(self, at: Node, key: str, example: str) -> None:
        """Note that a key is missing from the table at `at`."""
        self.findings.add(at, key, f"missing; add {example}")

    def quantity(self, node: Node, key: str, unit: str, why: str = "") -> float | None:
        """A text `number unit`, in `unit`; `Ohm/V` counts per volt of the pack's highest working voltage."""
        bare, why = self._bare(node, key, why)
        if bare is None:
            return None
        if not isinstance(bare.value, str):
            self.findings.add(bare, key, f'{shown(bare.value)} is no quantity in {unit}; write it like "1 {unit}"')
            return None
        try:
            per_volt = _per_volt(bare.value) if unit == "Ohm" else None
            value = parse_quantity(bare.value, unit) if per_volt is None else per_volt * (self.u_max or math.nan)
        except ValueError as error:
            self.findings.add(bare, key, str(error))
            return None
        if math.isnan(value):
            return None  # of the voltage that is missing there is a finding already
        return self._keep(value, bare, key, why)

    def count(self, node: Node, key: str, least: int = 0, why: str = "", most: int = COUNT_MAX) -> int | None:
        """A whole number from `least` to `most`."""
        bare, why = self._bare(node, key, why)
        if bare is None:
            return None
        if isinstance(bare.value, bool) or not isinstance(bare.value, int) or not least <= bare.value <= most:
            range_text = f"from {least} on" if most == COUNT_MAX else f"from {least} to {most}"
            what = f"{shown(bare.value)} is no count; write a whole number {range_text}, without unit"
            self.findings.add(bare, key, what)
            return None
        return self._keep(bare.value, bare, key, why)

    def identifier(self, node: Node, key: str) -> str | None:
        """A text that can be part of a file's name."""
        text = self.text(node, key)
        if text is not None and not _IDENTIFIER.fullmatch(text):
            self.findings.add(node, key, f"{shown(text)} is no id; use at most 64 of A-Z a-z 0-9 _ -")
            return None
        return text

    def text(self, node: Node, key: str) -> str | None:
        """A text that is not empty."""
        bare, why = self._bare(node, key, "")
        if bare is None:
            return None
        if not isinstance(bare.value, str) or not bare.value.strip() or len(bare.value) > TEXT_MAX:
            self.findings.add(bare, key, f'{shown(bare.value)} is no text; write it in quotes, like "…"')
            return None
        return self._keep(bare.value, bare, key, why)

    def choice(self, node: Node, key: str, allowed: tuple[str, ...]) -> str | None:
        """One of the texts allowed."""
        text = self.text(node, key)
        if text is None or text in allowed:
            return text
        self.findings.add(node, key, f"{shown(text)} is unknown; {instead(text, allowed)}")
        return None

    def day(self, node: Node, key: str) -> date | None:
        """A date."""
        bare, why = self._bare(node, key, "")
        if bare is None:
            return None
        if not isinstance(bare.value, date) or isinstance(bare.value, datetime):
            self.findings.add(bare, key, f"{shown(bare.value)} is no date; write it like 2025-01-01, without quotes")
            return None
        return self._keep(bare.value, bare, key, why)

    def pattern(self, node: Node, key: str, groups: Iterable[str]) -> str | None:
        """A regular expression with these named groups."""
        text = self.text(node, key)
        if text is None:
            return None
        try:
            named = re.compile(text).groupindex
        except (re.error, OverflowError, RecursionError) as error:
            self.findings.add(node, key, f"not a regular expression: {error}; correct it")
            return None
        for name in groups:
            if name not in named:
                self.findings.add(node, key, f"no group {name!r}; write (?P<{name}>…) around it")
                return None
        return text

    def names(self, node: Node, key: str) -> tuple[str, ...] | None:
        """A list of different texts, at least one."""
        bare, why = self._bare(node, key, "")
        if bare is None:
            return None
        entries = [item.value for item in bare.value] if isinstance(bare.value, list) else []
        if not entries or not all(isinstance(entry, str) and 0 < len(entry.strip()) <= TEXT_MAX for entry in entries):
            self.findings.add(bare, key, 'no list of names; write it like ["one", "two"]')
            return None
        doubled = [entry for index, entry in enumerate(entries) if entry in entries[:index]]
        if doubled:
            self.findings.add(bare, key, f"{shown(doubled[0])} is there twice; remove one")
            return None
        self.origins[key] = Origin(bare.file, bare.line, ", ".join(entries), why)
        return tuple(entries)

    def texts(self, node: Node, key: str) -> dict[str, str] | None:
        """A table of texts by name, at least one."""
        if not isinstance(node.value, dict) or not node.value:
            self.findings.add(node, key, 'no table; write it like { "name" = "text" }')
            return None
        read = {name: self.text(item, f"{key}.{name}") for name, item in node.value.items()}
        found = {name: text for name, text in read.items() if text is not None}
        return found if len(found) == len(read) else None

    def choices(self, node: Node, key: str, key_pattern: str, allowed: tuple[str, ...]) -> dict[str, str] | None:
        """A table whose keys match a pattern and whose values are among those allowed."""
        if not isinstance(node.value, dict) or not node.value:
            self.findings.add(node, key, 'no table; write it like { NAME = "…" }')
            return None
        found: dict[str, str] = {}
        for name, item in node.value.items():
            if not re.fullmatch(key_pattern, name):
                self.findings.add(item, f"{key}.{name}", f"not of the form {key_pattern}; correct the name")
            elif item.value not in allowed:
                self.findings.add(
                    item, f"{key}.{name}", f"{shown(item.value)} is none of {', '.join(allowed)}; name one"
                )
            else:
                found[name] = self._keep(item.value, item, f"{key}.{name}", "")
        return found

    def _bare(self, node: Node, key: str, why: str) -> tuple[Node | None, str]:
        """The node without its `{ value, why }` wrapping, and the reason given there or else `why`."""
        if not isinstance(node.value, dict):
            return node, why
        entries = self.table(node, key, ("value", "why"))
        if "value" not in entries:
            self.missing(node, f"{key}.value", "value = …")
            return None, why
        if "why" in entries:
            why = self.reason(entries["why"], f"{key}.why") or why
        return entries["value"], why

    def reason(self, node: Node, key: str) -> str | None:
        """The text of a `why`."""
        if isinstance(node.value, str) and 0 < len(node.value.strip()) <= TEXT_MAX:
            return node.value
        self.findings.add(node, key, 'not a reason; write why = "…": the law, the drawing, or "estimate: …"')
        return None

    def _keep(self, value: T, node: Node, key: str, why: str) -> T:
        self.origins[key] = Origin(node.file, node.line, str(node.value), why)
        return value


def _per_volt(text: str) -> float | None:
    """Ohms per volt, None if it is in another unit; ValueError if it is no quantity."""
    number, given = split_quantity(text)
    return float(number * given.factor) if given.dimension == ("Ohm", "V") else None


def instead(name: str, known: Sequence[str]) -> str:
    """The remedy for a name that is none of those known."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"name one of {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as a person would recognise it, short."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, not a finite number,"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
