"""Recipes compile to numbers, or are refused with file, line, key and remedy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmsctl.domain.recipe import Origin, Recipe, StepRecipe
from bmsctl.domain.recipe_compiler import compile_recipe
from bmsctl.domain.recipe_compiler_sources import BYTES_MAX
from bmsctl.domain.steps import CATALOGUE
from bmsctl.errors import RecipeError

ROOT = Path(__file__).parents[3]
INSTALLED = {
    path.relative_to(ROOT / "recipes").as_posix(): path.read_bytes() for path in (ROOT / "recipes").rglob("*.toml")
}
BROKEN = sorted((ROOT / "tests" / "recipes" / "broken").glob("*.toml"))
CHILD = 'extends = "packs/as52.toml"\n'


def reader(files: Mapping[str, bytes | str]) -> Callable[[str], bytes]:
    """Reads the installed recipes and, before them, these files."""

    def read(name: str) -> bytes:
        found = files.get(name, INSTALLED.get(name))
        if found is None:
            raise FileNotFoundError(0, "no such file")
        return found.encode() if isinstance(found, str) else found

    return read


def compiled(text: bytes | str, **files: bytes | str) -> Recipe:
    return compile_recipe("x.toml", reader({"x.toml": text, **files}))


def findings(text: bytes | str, **files: bytes | str) -> list[str]:
    with pytest.raises(RecipeError) as refused:
        compiled(text, **files)
    return refused.value.findings


def step(recipe: Recipe, run: str) -> StepRecipe:
    return next(step for step in (*recipe.stacking, *recipe.eol) if step.run == run)


def override(run: str, *lines: str) -> str:
    return CHILD + f'[[eol.step]]\nrun = "{run}"\n' + "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_recipe_is_refused_with_file_line_key_and_remedy(path: Path) -> None:
    """The first line of each file is the finding expected, without the file's name."""
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("# ")
    with pytest.raises(RecipeError) as refused:
        compile_recipe(path.name, reader({path.name: text}))
    assert f"{path.name}:{expected}" in refused.value.findings
    assert "; " in expected or expected.endswith("?"), "a finding ends in a remedy"


def test_there_are_enough_broken_recipes() -> None:
    assert len(BROKEN) >= 45


def test_a_broken_recipe_tells_everything_at_once() -> None:
    text = override("cells_at_rest", 'limits.cell_spread.high = "30 mA"', "params.snapshots = 0", "skip = true")
    assert [finding.split(": ")[0] for finding in findings(text)] == ["x.toml:6", "x.toml:5", "x.toml:4"]


def test_a_missing_mandatory_step_is_named() -> None:
    assert 'x.toml:1: eol.make_safe: mandatory step missing; add [[eol.step]] with run = "make_safe"' in findings(
        "[pack]\n"
    )


def test_a_missing_limit_parameter_and_bound_are_named() -> None:
    text = '[[eol.step]]\nrun = "cells_at_rest"\nlimits.cell_max = { low = "3 V" }\n'
    found = findings(text)
    wanted = 'limits.cell_min = { low = …, why = "…" }'
    assert f"x.toml:3: eol.cells_at_rest.limits.cell_min: missing; add {wanted}" in found
    assert "x.toml:3: eol.cells_at_rest.limits.cell_max.high: missing; add high = …" in found
    assert "x.toml:3: eol.cells_at_rest.limits.cell_max.why: missing; add why = …" in found
    assert 'x.toml:1: eol.cells_at_rest.params.rest: missing; add rest = "1 s"' in found
    assert 'x.toml:1: eol.cells_at_rest.max_time: missing; add max_time = "1 s"' in found


def test_a_finding_in_the_parent_names_the_parent() -> None:
    parent = INSTALLED["packs/as52.toml"].decode().replace('"403.2 V"', '"403.2 Ohm"', 1)
    assert findings(CHILD, **{"packs/as52.toml": parent}) == [
        "packs/as52.toml:10: pack.max_working_voltage: '403.2 Ohm' is not in V; give it in V"
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CHILD.encode() + b"#" * BYTES_MAX, "x.toml:1: file: too large, more than 256 KiB; a recipe is a few pages"),
        (CHILD.encode() + b"# \xff\n", "x.toml:2: file: not UTF-8; save it as UTF-8"),
        (CHILD.encode("utf-16"), "x.toml:1: file: not UTF-8; save it as UTF-8"),
        (
            b"\xef\xbb\xbf" + CHILD.encode(),
            "x.toml:1: file: begins with a byte order mark; save it as UTF-8 without one",
        ),
        (
            b"a = " + b"[" * 100_000,
            "x.toml:1: file: nested too deeply; a recipe needs no more than tables in tables",
        ),
    ],
    ids=["too large", "not UTF-8", "UTF-16", "byte order mark", "deep"],
)
def test_a_file_that_is_no_recipe_is_refused(data: bytes, expected: str) -> None:
    assert findings(data) == [expected]


@pytest.mark.parametrize(
    ("lines", "line"), [("pack = ", 2), ('pack.id = "A"\npack.id = "B"', 3), ("a = [", 3), ("a = " + "9" * 5000, 3)]
)
def test_what_is_not_toml_is_refused_with_its_line(lines: str, line: int) -> None:
    (finding,) = findings(CHILD + lines + "\n")
    assert finding.startswith(f"x.toml:{line}: file: not TOML: ")
    assert finding.endswith("; correct the syntax")


def test_the_largest_permitted_file_is_read() -> None:
    data = CHILD.encode()
    assert compiled(data + b"#" * (BYTES_MAX - len(data))).id == "AS52"


def test_a_number_too_long_to_print_is_refused() -> None:
    (finding,) = findings(override("cells_at_rest", "params.snapshots = 0x" + "f" * 5000))
    assert "a number of more than 64 bits is no count" in finding


@pytest.mark.parametrize(("name", "good"), [("A" * 64, True), ("A" * 65, False), ("a-b_9", True), ("é", False)])
def test_a_pack_id_can_be_part_of_a_files_name(name: str, good: bool) -> None:
    text = CHILD + f'[pack]\nid = "{name}"\n'
    if good:
        assert compiled(text).id == name
    else:
        assert "is no id; use at most 64 of A-Z a-z 0-9 _ -" in findings(text)[0]


def test_a_circle_of_three_is_named_where_it_closes() -> None:
    files = {"a.toml": 'extends = "b.toml"', "b.toml": '\nextends = "c.toml"', "c.toml": '\n\nextends = "a.toml"'}
    with pytest.raises(RecipeError) as refused:
        compile_recipe("a.toml", reader(files))
    circle = "a.toml → b.toml → c.toml → a.toml"
    assert refused.value.findings == [f"c.toml:3: extends: cyclic: {circle}; remove one extends"]


def test_a_chain_may_not_be_endless() -> None:
    files = {f"{n}.toml": f'extends = "{n + 1}.toml"' for n in range(20)}
    with pytest.raises(RecipeError, match=r"7\.toml:1: extends: more than 8 files"):
        compile_recipe("0.toml", reader(files))


def test_a_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(RecipeError, match=r"no\.toml:1: file: no\.toml cannot be read \(no such file\)"):
        compile_recipe("no.toml", reader({}))


def test_the_order_is_the_catalogues_whatever_the_file_says() -> None:
    platform = INSTALLED["platforms/ampr_small.toml"].decode()
    head, *steps = platform.split("[[eol.step]]")
    reordered = "[[eol.step]]".join([head, *reversed(steps)])
    recipe = compiled(CHILD, **{"platforms/ampr_small.toml": reordered})
    assert [step.run for step in recipe.eol] == [spec.name for spec in CATALOGUE["eol"]]
    assert recipe == compiled(CHILD)


def test_a_child_overrides_key_by_key_in_the_parents_place() -> None:
    base, child = compiled(CHILD), compiled(override("cells_at_rest", 'limits.cell_spread.high = "20 mV"'))
    before, after = step(base, "cells_at_rest"), step(child, "cells_at_rest")
    assert after.limits["cell_spread"] == replace(before.limits["cell_spread"], high=0.02)
    assert {**after.limits, "cell_spread": None} == {**before.limits, "cell_spread": None}
    assert (after.params, after.max_s) == (before.params, before.max_s)
    assert [step.run for step in child.eol] == [step.run for step in base.eol]
    assert child.sha256 != base.sha256


def test_a_child_adds_to_a_table_and_replaces_a_value_with_its_reason() -> None:
    child = compiled(
        override("bms_identity", 'params.dtc_owners.1B77 = "precharge"', 'params.dtc_settle = "4 s"'),
    )
    owners = step(child, "bms_identity").table("dtc_owners")
    assert (owners["1B77"], owners["1B01"], owners["1B60"]) == ("precharge", "cells_at_rest", "cells_at_rest")
    assert child.provenance["eol.bms_identity.params.dtc_settle"] == Origin("x.toml", 5, "4 s", "")


def test_every_value_tells_file_line_text_and_reason() -> None:
    recipe = compiled(override("cells_at_rest", 'limits.cell_spread = { high = "20 mV", why = "a new drawing" }'))
    provenance = recipe.provenance
    assert provenance["eol.cells_at_rest.limits.cell_spread.high"] == Origin("x.toml", 4, "20 mV", "a new drawing")
    for origin in provenance.values():
        source = {**INSTALLED, "x.toml": b"\n\n\n" + b'20 mV" "a new drawing'}[origin.file]
        entry = source.decode().split("\n", origin.line - 1)[-1].partition("[[")[0]
        assert origin.text in entry or all(f'"{name}"' in entry for name in origin.text.split(", "))
        assert origin.why in entry


def test_every_value_has_an_origin() -> None:
    recipe = compiled(CHILD)
    of_parts, in_table = 0, 0
    for station in CATALOGUE:
        for spec in CATALOGUE[station]:
            stated = step(recipe, spec.name)
            limits = [stated.limit(name) for name in spec.measures]
            of_parts += sum((limit.low is not None) + (limit.high is not None) for limit in limits)
            tables = [value for value in stated.params.values() if isinstance(value, Mapping)]
            in_table += len(stated.params) - len(tables) + sum(map(len, tables))
    max_times = len(recipe.eol) + len(recipe.stacking)
    pack = 11
    assert len(recipe.provenance) == of_parts + in_table + max_times + pack


def test_ohm_per_volt_is_per_volt_of_the_highest_working_voltage() -> None:
    text = override("precharge", 'limits.imd_before = { low = "0.5 kΩ/V", why = "R100" }')
    assert step(compiled(text), "precharge").limits["imd_before"].low == 201_600.0


def test_spellings_of_unit_signs_are_the_same_recipe() -> None:
    plain = compiled(override("cells_at_rest", 'params.u95_cell = "2000 uV"', 'params.temperature_low = "15 degC"'))
    signs = compiled(override("cells_at_rest", 'params.u95_cell = "2000 µV"', 'params.temperature_low = "15 °C"'))
    assert plain.sha256 == signs.sha256 == compiled(CHILD).sha256


def test_an_optional_step_can_be_skipped() -> None:
    specs = tuple(replace(spec, mandatory=spec.name != "bms_alive") for spec in CATALOGUE["eol"])
    catalogue = {**CATALOGUE, "eol": specs}
    read = reader({"x.toml": override("bms_alive", "skip = true")})
    names = [step.run for step in compile_recipe("x.toml", read, catalogue).eol]
    assert names == [spec.name for spec in specs if spec.name != "bms_alive"]
    assert step(compile_recipe("packs/as52.toml", read, catalogue), "bms_alive").mandatory is False


def test_what_owns_a_trouble_code_must_run() -> None:
    specs = tuple(replace(spec, mandatory=spec.name != "insulation_live") for spec in CATALOGUE["eol"])
    read = reader({"x.toml": override("insulation_live", "skip = true")})
    with pytest.raises(RecipeError, match=r"ampr_small\.toml:\d+: eol\.bms_identity\.params\.dtc_owners\.1BA2"):
        compile_recipe("x.toml", read, {**CATALOGUE, "eol": specs})


def test_names_are_read_in_their_order_and_told_with_their_reason() -> None:
    recipe = compiled(override("bonding", 'params.points = { value = ["tray rear", "cover"], why = "new drawing" }'))
    assert step(recipe, "bonding").names("points") == ("tray rear", "cover")
    origin = recipe.provenance["eol.bonding.params.points"]
    assert origin == Origin("x.toml", 4, "tray rear, cover", "new drawing")
    assert Recipe.from_json(recipe.to_json()) == recipe
    turned = compiled(override("bonding", 'params.points = ["cover", "tray rear"]'))
    assert turned.sha256 != recipe.sha256


@pytest.mark.parametrize("names", ['["cover", 2]', '[""]', '["  "]', '[["cover"]]', '["' + "x" * 1001 + '"]'])
def test_names_are_texts(names: str) -> None:
    (finding,) = findings(override("bonding", f"params.points = {names}"))
    assert finding == 'x.toml:4: eol.bonding.params.points: no list of names; write it like ["one", "two"]'


def test_what_counts_per_volt_is_no_finding_of_its_own_without_the_voltage() -> None:
    bad = override("precharge", 'limits.imd_before.low = "500 Ohm/A"') + '[pack]\nmax_working_voltage = "0 V"\n'
    found = [finding.split(": ")[1] for finding in findings(bad)]
    assert sorted(found) == ["eol.precharge.limits.imd_before.low", "pack.max_working_voltage"]


def test_line_ends_of_another_system_change_nothing() -> None:
    text = override("precharge", 'limits.end_ratio.low = "97 %"')
    other = compiled(text.replace("\n", "\r\n"))
    assert (other, other.provenance) == (compiled(text), compiled(text).provenance)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_compile_or_are_refused(data: bytes) -> None:
    with pytest.raises(RecipeError):
        compiled(data)


PLATFORM = INSTALLED["platforms/ampr_small.toml"].decode()
SCRAPS = ["", '"', "[", "]", "{", "}", "=", ".", "nan", '"""', "'''", "\n", "#", "[[eol.step]]", "1", "[eol]", '"1 V"']


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(PLATFORM)), st.integers(0, 60), st.sampled_from(SCRAPS))
def test_a_damaged_recipe_compiles_or_is_refused(at: int, cut: int, scrap: str) -> None:
    damaged = PLATFORM[:at] + scrap + PLATFORM[at + cut :]
    with contextlib.suppress(RecipeError):
        assert compiled(CHILD, **{"platforms/ampr_small.toml": damaged}).id == "AS52"
