"""`bmsctl analyze`: computations on files of measurements."""

from __future__ import annotations

import click

from bmsctl.cli.lazy import LazyGroup

COMMANDS = {
    "insulation": ("bmsctl.cli.analyze.insulation", "Insulation resistance from recorded pole voltages."),
    "balance": ("bmsctl.cli.analyze.balance", "The shortest plan to balance a pack's cells."),
    "match": ("bmsctl.cli.analyze.match", "Modules that go together in packs."),
    "spc": ("bmsctl.cli.analyze.spc", "Capability and control charts, key by key."),
    "grr": ("bmsctl.cli.analyze.grr", "Repeatability and reproducibility of a measuring system."),
    "warmup": ("bmsctl.cli.analyze.warmup", "Compile the kernels into their cache."),
}


@click.group(cls=LazyGroup, commands_by_module=COMMANDS)
def analyze() -> None:
    """Compute on files of measurements."""
