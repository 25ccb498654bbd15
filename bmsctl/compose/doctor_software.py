"""Python, the packages bmsctl needs, and what text looks like here. Nothing heavy is imported to find out."""

from __future__ import annotations

import locale
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec

from bmsctl.compose.check import Check, State, good

PACKAGE = "bmsctl"

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")
_BOUND = re.compile(r">=\s*([0-9.]+)")


def checks() -> Iterator[Check]:
    """All of them."""
    told = metadata.metadata(PACKAGE)
    yield python(sys.version_info[:3], told["Requires-Python"])
    yield packages(metadata.requires(PACKAGE) or ())
    yield text(sys.getfilesystemencoding(), locale.getencoding())


def python(version: Sequence[int], required: str) -> Check:
    """Is Python new enough?"""
    seen = ".".join(map(str, version))
    if tuple(version) >= _least(required):
        return good("python", seen)
    return Check("python", State.BAD, f"{seen}, {required} is required", "install a newer Python and make setup again")


def packages(requirements: Sequence[str]) -> Check:
    """Are all packages that are needed always installed, new enough, and to be found?"""
    names = [requirement for requirement in requirements if "extra ==" not in requirement]
    modules: dict[str, list[str]] = {}
    for module, distributions in metadata.packages_distributions().items():
        for distribution in distributions:
            modules.setdefault(_normal(distribution), []).append(module)
    wrong = [what for what in (_package(requirement, modules) for requirement in names) if what]
    if wrong:
        return Check("packages", State.BAD, "; ".join(wrong), "run make setup again")
    return good("packages", f"all {len(names)} installed")


def _package(requirement: str, modules: dict[str, list[str]]) -> str:
    """What is wrong with one requirement; empty if nothing is."""
    found = _REQUIREMENT.match(requirement)
    assert found is not None
    name, bounds = found[1], found[2]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    if _numbers(version) < _least(bounds):
        return f"{name} {version} is installed, {bounds.strip()} is needed"
    public = [module for module in modules.get(_normal(name), []) if not module.startswith("_")]
    if not any(find_spec(module) is not None for module in public):
        return f"{name} {version} is installed, but its module cannot be found"
    return ""


def text(files: str, terminal: str) -> Check:
    """Do file names and text hold every letter?"""
    if files.lower() == "utf-8" and terminal.lower() == "utf-8":
        return good("text", "UTF-8")
    seen = f"file names in {files}, text in {terminal}"
    return Check("text", State.WARN, seen, "set LC_ALL=C.UTF-8 for the station's user")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _least(bounds: str) -> tuple[int, ...]:
    found = _BOUND.search(bounds)
    return _numbers(found[1]) if found else ()


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
