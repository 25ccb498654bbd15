"""`bmsctl analyze warmup`: compile every kernel into the cache, so that no later command waits for it."""

from __future__ import annotations

import json
import pkgutil
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import click

from bmsctl.cli.exits import USAGE, leave
from bmsctl.cli.options import json_option
from bmsctl.cli.tables import print_table


class Warmed(NamedTuple):
    """A family of analyses: its kernels, how many were compiled now and how many were cached, CPU time of both."""

    family: str
    kernels: list[str]
    compiled: int
    cached: int
    cpu_s: float


@click.command()
@json_option
def warmup(as_json: bool) -> None:
    """Compile the kernels of all analyses into their cache.

    The cache is beside the program, or in the folder that NUMBA_CACHE_DIR names. It is of use on this processor only.
    """
    import bmsctl.analysis

    done = []
    for name in families(bmsctl.analysis):
        try:
            warmed = warm(name)
        except (RuntimeError, OSError) as error:
            leave(
                USAGE,
                f"{name}: cannot be compiled into the cache: {error}; let NUMBA_CACHE_DIR name a folder "
                "that you may write",
            )
        if warmed is not None:
            done.append(warmed)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in done], indent=2))
        return
    rows = [(each.family, each.compiled, each.cached, f"{each.cpu_s:.2f}", ", ".join(each.kernels)) for each in done]
    print_table(("family", "compiled", "cached", "CPU s", "kernels"), rows)


def families(package: ModuleType) -> list[str]:
    """The modules and packages right in a package, by their full names."""
    return sorted(f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__))


def warm(name: str) -> Warmed | None:
    """Let a family compile its kernels; None if it has no `warm_up`."""
    family = import_module(name)
    if not hasattr(family, "warm_up"):
        return None
    began_s = time.process_time()
    family.warm_up()
    cpu_s = time.process_time() - began_s
    kernels = list(_kernels(name))
    return Warmed(
        name.rpartition(".")[2],
        sorted(each.__name__ for each in kernels if each.signatures),
        sum(sum(each.stats.cache_misses.values()) for each in kernels),
        sum(sum(each.stats.cache_hits.values()) for each in kernels),
        cpu_s,
    )


def _kernels(name: str) -> Iterator[Any]:
    """Every kernel of the family's loaded modules, once."""

    from numba.core.dispatcher import Dispatcher

    for path, module in sorted(sys.modules.items()):
        if path == name or path.startswith(f"{name}."):
            for value in vars(module).values():
                if isinstance(value, Dispatcher) and value.__module__ == path:
                    yield value
