"""House rules, each with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for top in ("bmsctl", "firmware_stubs", "hil") for path in (ROOT / top).rglob("*.py"))

BANNED = {
    "time.time": "wall clocks jump; ask Clock.utc",
    "time.monotonic": "the loop's clock may be virtual; ask loop.time()",
    "time.perf_counter": "the loop's clock may be virtual; ask loop.time()",
    "time.sleep": "await asyncio.sleep: the loop's clock may be virtual",
    "datetime.now": "pass the moment in; only Clock.utc knows it",
    "asyncio.wait_for": "swallows a cancellation that lands in the same tick; use asyncio.timeout",
    "asyncio.wait": "iterates a set of tasks, so order varies",
    "asyncio.TaskGroup": "aborts its children in the order of a set; use gather",
    "asyncio.to_thread": "a thread stuck in C never lets the process end; use Clock.offload",
    "asyncio.run": "a world runs the loop",
    "print": "only bmsctl.cli speaks to people, by click.echo",
    "eval": "recipes and scenarios are data",
}

LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def banned_calls(tree: ast.AST) -> Iterator[str]:
    """Each banned call or reference in a module, with the line and why."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            for banned, why in BANNED.items():
                if name == banned or ("." in banned and name.endswith("." + banned)):
                    yield f"{node.lineno}: {banned}: {why}"
        elif isinstance(node, ast.TryStar):
            yield f"{node.lineno}: except*: a run continued after its abort"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_banned_call(path: Path) -> None:
    assert list(banned_calls(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize("call", ["time.time()", "asyncio.wait_for(x, 1)", "print(1)", "datetime.datetime.now()"])
def test_the_ban_finds_what_it_bans(call: str) -> None:
    assert list(banned_calls(ast.parse(call))) != []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, f"{node.name} at line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module needs a docstring"
