"""What goes over a bench's wires, as a person sees it: rates made of the counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hil.bench_file import BUSES

Counters = Mapping[str, Mapping[str, int]]


class Rate(NamedTuple):
    """One wire: per second from and to the stubs, frames of a bus and bytes of a line; and lost in all."""

    wire: str
    unit: str
    sent_per_s: float
    heard_per_s: float
    lost: int


class TrafficMeter:
    """Makes rates of counters that are read now and then."""

    def __init__(self) -> None:
        self._before: Counters = {}
        self._before_s: float | None = None

    def rates(self, counters: Counters, now_s: float) -> list[Rate]:
        """Rates since the call before; 0 at the first, and where counting began anew with another pack."""
        elapsed_s = 0.0 if self._before_s is None else now_s - self._before_s
        rates = []
        for wire, count in counters.items():
            before = self._before.get(wire, count)
            sent, heard = (max(0, count[key] - before[key]) for key in ("sent", "heard"))
            unit = "frames" if wire in BUSES else "bytes"
            lost = count["lost"] + count.get("skipped", 0)
            rates.append(Rate(wire, unit, _per(sent, elapsed_s), _per(heard, elapsed_s), lost))
        self._before, self._before_s = counters, now_s
        return rates


def line(rates: list[Rate]) -> str:
    """All that moves, in one line."""
    moving = [_told(rate) for rate in rates if rate.sent_per_s or rate.heard_per_s or rate.lost]
    return "; ".join(moving) or "quiet"


def _told(rate: Rate) -> str:
    lost = f", {rate.lost} lost" if rate.lost else ""
    return f"{rate.wire} {rate.sent_per_s:.0f} to station, {rate.heard_per_s:.0f} from it {rate.unit}/s{lost}"


def _per(count: int, elapsed_s: float) -> float:
    return count / elapsed_s if elapsed_s > 0.0 else 0.0
