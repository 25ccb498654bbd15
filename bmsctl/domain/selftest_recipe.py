"""The recipe by which a station tests itself: limits and parameters of its steps, compiled as a pack's recipe is."""

from __future__ import annotations

from bmsctl.domain.pack import PackSpec
from bmsctl.domain.recipe import SELFTEST, Recipe
from bmsctl.domain.recipe_compiler_sources import Findings, Read, load
from bmsctl.domain.recipe_compiler_steps import StationCompiler
from bmsctl.domain.recipe_compiler_values import Values
from bmsctl.domain.steps import SELFTEST as SPECS
from bmsctl.domain.units import Volt
from bmsctl.errors import RecipeError

NO_PACK = PackSpec(
    "none",
    "none",
    series=0,
    parallel=0,
    modules=0,
    u_max=Volt(0.0),
    u_nom=Volt(0.0),
    sensors_per_module=0,
    message_set="none",
)
"""What such a recipe says of the pack: nothing is tested but the station."""


def compile_selftest(path: str, read: Read) -> Recipe:
    """Compile the self-test's recipe at `path`.

    Raises:
        RecipeError: with all findings, each `file:line: key: what; remedy`.
    """
    findings = Findings()
    values = Values(findings)
    root = load(path, read, findings)
    tables = values.table(root, "", ("revision", SELFTEST))
    revision = values.text(tables["revision"], "revision") if "revision" in tables else None
    if "revision" not in tables:
        values.missing(root, "revision", 'revision = "1"')
    steps = StationCompiler(SELFTEST, SPECS, values).compile(tables, root)
    if findings.texts:
        raise RecipeError(findings.texts)
    return Recipe.of(revision or "", NO_PACK, {SELFTEST: steps}, values.origins)
