"""What a tightening controller keeps: its parameter sets, its transducers' errors, and every tightening it has made.

Two stations share the controller. The other one's tightenings have identifiers of the same row, and now and then one
of its results is sent to us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bmsctl.domain.ports import LimitStatus
from bmsctl.protocols.open_protocol import BatchStatus, OldResult, Result
from firmware_stubs.noise import Noise, draw

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The controller's time of day when the loop's is 0."""
PARAMETER_SETS_CHANGED = "2025-11-03:07:30:00"

CELL, CHANNEL, CONTROLLER = 1, 1, "PF6 STACKING 1"
KEPT_MAX = 5000
MADE_BEFORE = (10_000, 900_000)
TORQUE_GAIN_SD = 0.005
ANGLE_SD_DEG = 1.0

NEIGHBOUR_EVERY_S = 45.0
NEIGHBOUR_AHEAD_S = 900.0
"""So long it has been at work when we start."""
NEIGHBOUR_PACK_SHARE = 1.0 / 32.0
"""How often it begins a pack, and so a VIN, with a tightening."""
NEIGHBOUR_TORQUE_SD, NEIGHBOUR_ANGLE_DEG = 0.01, (90.0, 10.0)
STRAY_SHARE = 0.05


class ParameterSet(NamedTuple):
    """How the controller tightens, and what it calls OK. Nm, deg."""

    torque_min: float
    torque_max: float
    torque_target: float
    angle_min: int
    angle_max: int
    angle_target: int


PARAMETER_SETS = {
    3: ParameterSet(22.5, 27.5, 25.0, 30, 150, 90),
    5: ParameterSet(8.1, 9.9, 9.0, 30, 150, 90),
    7: ParameterSet(9.0, 11.0, 10.0, 30, 150, 90),
}


class Setup(NamedTuple):
    """What a tightening is made for, and how."""

    vin: str
    parameter_set: int


class Transducers:
    """Measures torque and angle with the errors of one tool."""

    def __init__(self, seed: int) -> None:
        self._gain = 1.0 + TORQUE_GAIN_SD * float(draw(seed, "nutrunner.torque_gain").standard_normal())
        self._angle_noise = Noise(seed, "nutrunner.angle_noise")

    def measured(self, n: int, torque_nm: float, angle_deg: float) -> tuple[float, float]:
        """Torque and angle of the tool's tightening number `n`."""
        return torque_nm * self._gain, angle_deg + ANGLE_SD_DEG * self._angle_noise.one(n)


@dataclass(frozen=True, slots=True)
class NeighbourTightening:
    """One of the other station's; `strays`: its result is sent to us too."""

    at_s: float
    setup: Setup
    torque_nm: float
    angle_deg: float
    strays: bool


class Neighbour:
    """The other station at the controller. `next` is the tightening that it makes next."""

    def __init__(self, seed: int, start_s: float) -> None:
        self._draws = draw(seed, "nutrunner.neighbour")
        self._vin = ""
        self.next = self._draw(start_s - NEIGHBOUR_AHEAD_S)

    def take(self) -> NeighbourTightening:
        """Make its next tightening."""
        made, self.next = self.next, self._draw(self.next.at_s)
        return made

    def _draw(self, after_s: float) -> NeighbourTightening:
        gap_s, stray, new_pack = (
            self._draws.exponential(NEIGHBOUR_EVERY_S),
            self._draws.uniform(),
            self._draws.uniform(),
        )
        if not self._vin or new_pack < NEIGHBOUR_PACK_SHARE:
            self._vin = f"NB{int(self._draws.integers(10**9)):09d}"
        number = list(PARAMETER_SETS)[int(self._draws.integers(len(PARAMETER_SETS)))]
        torque = PARAMETER_SETS[number].torque_target * (
            1.0 + NEIGHBOUR_TORQUE_SD * float(self._draws.standard_normal())
        )
        mean, sd = NEIGHBOUR_ANGLE_DEG
        angle = mean + sd * float(self._draws.standard_normal())
        setup = Setup(self._vin, number)
        return NeighbourTightening(after_s + float(gap_s), setup, torque, angle, float(stray) < STRAY_SHARE)


class Memory:
    """The newest tightenings by identifier; `newest` is the last identifier given."""

    def __init__(self, seed: int) -> None:
        self.newest = int(draw(seed, "nutrunner.made").integers(*MADE_BEFORE))
        self._kept: dict[int, Result] = {}

    def keep(self, setup: Setup, torque_nm: float, angle_deg: float, at_s: float) -> Result:
        """A tightening, judged and given its identifier."""
        self.newest += 1
        result = judged(self.newest, setup, torque_nm, angle_deg, at_s)
        self._kept[self.newest] = result
        self._kept.pop(self.newest - KEPT_MAX, None)
        return result

    def find(self, tightening_id: int) -> OldResult | None:
        """The tightening of this identifier, 0 for the newest; None if it is not kept."""
        result = self._kept.get(tightening_id or self.newest)
        if result is None:
            return None
        return OldResult(
            result.tightening_id,
            result.vin,
            result.parameter_set,
            result.batch_counter,
            result.ok,
            result.torque_status,
            result.angle_status,
            result.torque,
            result.angle,
            result.at,
            result.batch_status,
        )


def judged(tightening_id: int, setup: Setup, torque_nm: float, angle_deg: float, at_s: float) -> Result:
    """What the controller says of a tightening: rounded as it sends it, then judged by its parameter set."""
    limits = PARAMETER_SETS[setup.parameter_set]
    torque, angle = round(max(torque_nm, 0.0), 2), round(max(angle_deg, 0.0))
    torque_status = _limit_status(torque, limits.torque_min, limits.torque_max)
    angle_status = _limit_status(angle, limits.angle_min, limits.angle_max)
    ok = torque_status is LimitStatus.OK and angle_status is LimitStatus.OK
    return Result(
        cell=CELL,
        channel=CHANNEL,
        controller=CONTROLLER,
        vin=setup.vin,
        job=0,
        parameter_set=setup.parameter_set,
        batch_size=1,
        batch_counter=int(ok),
        ok=ok,
        torque_status=torque_status,
        angle_status=angle_status,
        torque_min=limits.torque_min,
        torque_max=limits.torque_max,
        torque_target=limits.torque_target,
        torque=torque,
        angle_min=limits.angle_min,
        angle_max=limits.angle_max,
        angle_target=limits.angle_target,
        angle=angle,
        at=time_of_day(at_s),
        parameter_set_changed=PARAMETER_SETS_CHANGED,
        batch_status=BatchStatus.OK if ok else BatchStatus.NOK,
        tightening_id=tightening_id,
    )


def time_of_day(at_s: float) -> str:
    """A moment of the loop as the controller writes it."""
    return (EPOCH + timedelta(seconds=at_s)).strftime("%Y-%m-%d:%H:%M:%S")


def _limit_status(value: float, low: float, high: float) -> LimitStatus:
    return LimitStatus.LOW if value < low else LimitStatus.HIGH if value > high else LimitStatus.OK
