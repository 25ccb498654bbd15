"""How a campaign is told, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bmsctl.cli.tables import print_table
from bmsctl.cli.verdicts import coloured
from firmware_stubs.faults import FAULTS
from hil.campaign import FaultResult
from hil.wire_faults import WireFault


def print_faults(faults: Sequence[WireFault], *, as_json: bool) -> None:
    """What a campaign would run."""
    if as_json:
        click.echo(json.dumps([_fault(fault) for fault in faults], ensure_ascii=False, indent=2))
        return
    rows = [(FAULTS[f.kind].catalogue_id, f.kind, f.device, f.step, f"{f.after_s:g} s", f.verdict) for f in faults]
    print_table(("number", "fault", "device", "step", "after", "expected"), rows)


def print_result(result: FaultResult) -> None:
    """One run, as soon as it is done."""
    fault = result.fault
    told = "; ".join([*result.wrong, *filter(None, [result.contention])]) or "as expected"
    click.echo(f"{coloured(result.verdict)} {fault.kind:<16} {fault.device:<18} seed {result.seed}: {told}")


def print_summary(results: Sequence[FaultResult], *, as_json: bool) -> None:
    """All runs, or how many were not as expected."""
    wrong = [result for result in results if result.wrong]
    if as_json:
        runs = [_result(result) for result in results]
        click.echo(json.dumps({"ok": not wrong, "runs": runs}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{len(results) - len(wrong)} of {len(results)} runs as expected", err=True)


def _fault(fault: WireFault) -> Mapping[str, Any]:
    return {
        "number": FAULTS[fault.kind].catalogue_id,
        "kind": fault.kind,
        "device": fault.device,
        "step": fault.step,
        "after_s": fault.after_s,
        "expected": fault.verdict,
    }


def _result(result: FaultResult) -> Mapping[str, Any]:
    return {
        **_fault(result.fault),
        "seed": result.seed,
        "verdict": result.verdict,
        "wrong": list(result.wrong),
        "contention": result.contention,
    }
