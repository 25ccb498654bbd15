"""Lines of keys, by hand for every construct of TOML, and by comparison with tomllib for whole files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmsctl.domain.recipe_locator import locate

ROOT = Path(__file__).parents[3]

EVERYTHING = '''\
# comment with [brackets] and key = "value"
top = 1
a.b . "c d".'e.f' = 2

[table]
"quoted # key" = "text with # and ] and } and \\" quote"
'literal' = 'C:\\path # no comment'
multi = """
fake = 1
[fake]
four quotes""""
raw = \'\'\'
fake = 2
\'\'\'
array = [ # comment ]
  "x", # another
  [1, 2, { fake = 3 }],
  { fake = """
""" },
]
inline = { one = 1, two.three = 2, four = { five = [5, 6] } }
date = 1979-05-27 07:32:00
after = true

[ table . sub ]
deep = 1

[[list]]
first = 1
[list.child]
inner = 1
[[list.many]]
x = 1
[[list.many]]
x = 2
[[list]]
first = 2
[[list.many]]
x = 3
'''

EXPECTED = {
    ("top",): 2,
    ("a",): 3,
    ("a", "b"): 3,
    ("a", "b", "c d"): 3,
    ("a", "b", "c d", "e.f"): 3,
    ("table",): 5,
    ("table", "quoted # key"): 6,
    ("table", "literal"): 7,
    ("table", "multi"): 8,
    ("table", "raw"): 12,
    ("table", "array"): 15,
    ("table", "inline"): 21,
    ("table", "inline", "one"): 21,
    ("table", "inline", "two"): 21,
    ("table", "inline", "two", "three"): 21,
    ("table", "inline", "four"): 21,
    ("table", "inline", "four", "five"): 21,
    ("table", "date"): 22,
    ("table", "after"): 23,
    ("table", "sub"): 25,
    ("table", "sub", "deep"): 26,
    ("list",): 28,
    ("list", 0): 28,
    ("list", 0, "first"): 29,
    ("list", 0, "child"): 30,
    ("list", 0, "child", "inner"): 31,
    ("list", 0, "many"): 32,
    ("list", 0, "many", 0): 32,
    ("list", 0, "many", 0, "x"): 33,
    ("list", 0, "many", 1): 34,
    ("list", 0, "many", 1, "x"): 35,
    ("list", 1): 36,
    ("list", 1, "first"): 37,
    ("list", 1, "many"): 38,
    ("list", 1, "many", 0): 38,
    ("list", 1, "many", 0, "x"): 39,
}


def test_every_construct() -> None:
    tomllib.loads(EVERYTHING)
    assert locate(EVERYTHING) == EXPECTED


def test_values_over_several_lines_do_not_shift_what_follows() -> None:
    text = 'a = { b = """\n\n""", c = [\n1,\n2], d = 1 }\ne = 1'
    assert locate(text) == {("a",): 1, ("a", "b"): 1, ("a", "c"): 3, ("a", "d"): 5, ("e",): 6}


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from _paths(item, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from _paths(item, (*path, index))


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.toml")), ids=lambda path: path.name)
def test_every_key_of_the_installed_recipes_stands_where_it_is_said_to(path: Path) -> None:
    text = path.read_text()
    lines = locate(text)
    keys = list(_paths(tomllib.loads(text)))
    assert sorted(map(str, lines)) == sorted(map(str, keys))
    for key, line in lines.items():
        names = [part for part in key if isinstance(part, str)]
        assert names[-1] in text.splitlines()[line - 1]


@pytest.mark.parametrize("text", ["", "\n\n# only a comment", "a=1", "\t a\t=\t1 \n"])
def test_small_texts(text: str) -> None:
    assert set(locate(text)) == set(_paths(tomllib.loads(text)))
