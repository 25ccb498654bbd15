"""How a campaign is told, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bmsctl.cli.tables import print_table
from bmsctl.cli.verdicts import coloured
from bmsctl.domain.world import FaultCase
from hil.campaign import FaultResult


def print_faults(faults: Sequence[FaultCase], *, as_json: bool) -> None:
    """What a campaign would run."""
    if as_json:
        click.echo(json.dumps([_case(case) for case in faults], ensure_ascii=False, indent=2))
        return
    rows = [(case.catalogue_id, case.kind, case.target, case.begins_in, case.verdict) for case in faults]
    print_table(("number", "fault", "device", "begins in", "expected"), rows)


def print_result(result: FaultResult) -> None:
    """One run, as soon as it is done."""
    case = result.case
    told = "; ".join(filter(None, [result.wrong or "as expected", result.contention]))
    click.echo(f"{coloured(result.verdict)} {case.kind:<18} {case.target:<18} {case.begins_in:<18} {told}")


def print_summary(results: Sequence[FaultResult], *, as_json: bool) -> None:
    """All runs, or how many were not as expected."""
    wrong = [result for result in results if result.wrong]
    if as_json:
        runs = [_result(result) for result in results]
        click.echo(json.dumps({"ok": not wrong, "runs": runs}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{len(results) - len(wrong)} of {len(results)} runs as expected", err=True)


def _case(case: FaultCase) -> Mapping[str, Any]:
    return {
        "number": case.catalogue_id,
        "kind": case.kind,
        "device": case.target,
        "step": case.begins_in,
        "expected": case.verdict,
    }


def _result(result: FaultResult) -> Mapping[str, Any]:
    return {
        **_case(result.case),
        "seed": result.seed,
        "verdict": result.verdict,
        "wrong": result.wrong,
        "contention": result.contention,
    }
