"""The far end of a stacking station that a test scripts, which outlives the station's program.

It is what is true of the pack: which part is where, how often each bolt was tightened, what the tightening controller
remembers. It knows what is dangerous, and raises AssertionError for a bolt tightened twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bmsctl.domain.ports import LimitStatus, ModuleData, Tightening
from bmsctl.domain.units import Degree, Newtonmetre
from tests.support.stacking_parts import module

FOREIGN = "AS52000000099"
NOMINAL_NM = {3: 25.0, 5: 9.0, 7: 10.0}
"""By parameter set."""


@dataclass
class FarEnd:
    """The pack and the controller.

    `labels`: what is read instead of the right label, by slot. `volts`, `ohms`: what is measured instead of a good
    value, by where frame or tips lie. `bridged`: connectors that do not open the loop. `torque_nm`: what the tool
    reaches, in turn, by bolt. `made`: tightenings of the bolt that is in a slot. `turning`: bolt, VIN and parameter set
    of the tightening under way. `stays_enabled`: after a tightening, too, by the controller's batch size.
    """

    buffer: list[ModuleData] = field(default_factory=lambda: [module(number) for number in range(1, 6)])
    packs: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    volts: dict[str, float] = field(default_factory=dict)
    ohms: dict[str, float] = field(default_factory=dict)
    opens: dict[str, bool] = field(default_factory=dict)
    bridged: set[str] = field(default_factory=set)
    torque_nm: dict[str, list[float]] = field(default_factory=dict)
    angle_deg: float = 90.0
    ok: bool = True
    made: dict[str, int] = field(default_factory=dict)
    thrown_away: list[str] = field(default_factory=list)
    results: dict[int, Tightening] = field(default_factory=dict)
    newest_id: int = 4711
    enabled: tuple[str, int] | None = None
    turning: tuple[str, str, int] | None = None
    stays_enabled: bool = False
    shown: str = ""
    frame: str = ""

    def trigger(self) -> None:
        """The person pulls the trigger, the tool on the bolt that was shown."""
        if self.enabled is not None and self.turning is None:
            self.turning = self.shown, *self.enabled

    def finish(self) -> None:
        """The tightening under way ends, whether the tool was disabled meanwhile or not."""
        if self.turning is None:
            return
        (bolt, vin, parameter_set), self.turning = self.turning, None
        if not self.stays_enabled:
            self.enabled = None
        assert self.made.get(bolt, 0) == 0, f"{bolt} tightened twice"
        self.made[bolt] = self.made.get(bolt, 0) + 1
        torques = self.torque_nm.get(bolt, [])
        torque_nm = torques.pop(0) if torques else NOMINAL_NM[parameter_set]
        self.store(vin, parameter_set, torque_nm)

    def pull(self) -> None:
        """A whole tightening, and the end of one under way."""
        self.trigger()
        self.finish()

    def store(self, vin: str, parameter_set: int, torque_nm: float) -> Tightening:
        """One more result in the controller's memory."""
        self.newest_id += 1
        result = Tightening(
            self.newest_id,
            vin,
            parameter_set,
            self.ok,
            Newtonmetre(torque_nm),
            LimitStatus.OK,
            Degree(self.angle_deg),
            LimitStatus.OK,
            "2026-01-01:00:00:00",
        )
        self.results[self.newest_id] = result
        return result
