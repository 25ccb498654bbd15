"""The drawing of a pack as its builder knows it: which bolts, joints and connectors there are, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bmsctl.domain.recipe import STACKING, Recipe, StepRecipe

BOLTED = ("bolts", "busbars", "cover_bolts")
"""Steps that tighten bolts."""


@dataclass(frozen=True)
class LeakPort:
    """A port by its name, and how what is behind it is tested: pneumatic channel, gauge pressure in pascals."""

    name: str
    channel: int
    pressure_pa: float


@dataclass(frozen=True)
class Drawing:
    """One pack type. `joint_nm`: torque that each bolt's joint is made for; `set_nm`: that of each parameter set of the
    tightening controller. A leak port that is None is not tested, nor is an interlock loop without a channel."""

    modules: int
    module_part_number: str
    joint_nm: Mapping[str, float]
    set_nm: Mapping[int, float]
    joints: tuple[str, ...]
    connectors: tuple[str, ...] = ()
    hvil_channel: int | None = None
    coolant: LeakPort | None = None
    housing: LeakPort | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Drawing:
        """What the recipe of a pack type says of it."""
        steps = {step.run: step for step in recipe.steps(STACKING)}
        bolted = [steps[run] for run in BOLTED]
        hvil = steps.get("hvil_loop")
        return cls(
            modules=recipe.pack.modules,
            module_part_number=steps["modules_in"].text("part_number"),
            joint_nm={bolt: _nominal_nm(step) for step in bolted for bolt in step.names("bolts")},
            set_nm={step.count("parameter_set"): _nominal_nm(step) for step in bolted},
            joints=steps["joints"].names("joints"),
            connectors=() if hvil is None else hvil.names("connectors"),
            hvil_channel=None if hvil is None else hvil.count("channel"),
            coolant=_leak_port(steps.get("coolant_leak")),
            housing=_leak_port(steps.get("housing_leak")),
        )

    @property
    def cover_bolts(self) -> tuple[str, ...]:
        """Bolts of the cover."""
        return tuple(bolt for bolt in self.joint_nm if bolt.startswith("c"))


def _nominal_nm(step: StepRecipe) -> float:
    """The middle of what the torque of a step's bolts may be."""
    limit = step.limit("torque")
    assert limit.low is not None
    assert limit.high is not None
    return 0.5 * (limit.low + limit.high)


def _leak_port(step: StepRecipe | None) -> LeakPort | None:
    if step is None:
        return None
    return LeakPort(step.text("port"), step.count("channel"), step.quantity("test_pressure"))
