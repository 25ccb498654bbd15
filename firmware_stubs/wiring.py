"""What both simulated stations have: the taps on their wires, the pack's 12 V, and the pack that a recipe describes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import BmsIdentity
from bmsctl.domain.recipe import EOL, Recipe, StepRecipe
from bmsctl.protocols import bms_broadcast, matrix, plc
from firmware_stubs.bms import BmsStub, BmsVariant, demo_key
from firmware_stubs.monitor import SafetyMonitor
from firmware_stubs.population import facts_of
from firmware_stubs.ports import Wires


class StationWiring:
    """What both stations have: taps on all that leaves them, and the pack's 12 V through the PLC's relays."""

    ecus: ClassVar[Sequence[str]]
    """What is on its CAN buses."""
    bms: BmsStub
    monitor: SafetyMonitor

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.on_talk: Callable[[str], None] | None = None
        self._rail_on = self._kl30 = self._kl15 = False

    def seed_key(self, seed: bytes) -> bytes:
        """The simulated BMS's key algorithm."""
        return demo_key(seed)

    @property
    def bms_plugged(self) -> bool:
        """Whether the pack's signal connector is plugged."""
        return True

    def tap(self) -> None:
        """Look at everything that leaves the station from now on."""
        self.wires.on_frame, self.wires.on_bytes = self._tap, self._talk

    def supply(self, kl30: bool, kl15: bool) -> None:
        """The PLC's relays between the 12 V rail and the pack."""
        self._kl30, self._kl15 = kl30, kl15
        self.power_bms()

    def rail(self, on: bool) -> None:
        """The 12 V supply's output."""
        self._rail_on = on
        self.power_bms()

    def power_bms(self) -> None:
        """Let the BMS have what reaches it."""
        fed = self._rail_on and self.bms_plugged
        self.bms.set_supply(kl30=self._kl30 and fed, kl15=self._kl15 and fed)

    def _tap(self, frame: CanFrame) -> None:
        """Show the monitor every frame that leaves the station."""
        if frame.can_id == plc.REQUEST_ID:
            request = plc.decode_request(frame.data)
            self.monitor.asked(request is not None and request.permit)
        self.monitor.command(frame)
        if frame.can_id != plc.ANSWER_ID:
            self._talk({plc.REQUEST_ID: "plc", matrix.REQUEST_ID: "matrix"}.get(frame.can_id, "bms"))

    def _talk(self, device: str, data: bytes = b"") -> None:
        if self.on_talk is not None:
            self.on_talk(device)


def pack_serial(recipe: Recipe, seed: int) -> str:
    """The serial of the pack that a seed draws."""
    return f"{recipe.pack.id}{seed:09d}"


def variant_of(recipe: Recipe, serial: str) -> BmsVariant:
    """The BMS that belongs into a pack."""
    assert recipe.pack.message_set is not None, "a compiled recipe names its message set"
    messages = bms_broadcast.MESSAGE_SETS[recipe.pack.message_set]
    return BmsVariant(messages, built_to(recipe, serial), facts_of(recipe.pack.id).group_ah)


def mated_adapter(recipe: Recipe) -> int:
    """Code of the adapter that fits a pack."""
    return _step(recipe, "identify").count("adapter")


def _step(recipe: Recipe, run: str) -> StepRecipe:
    return next(step for step in recipe.steps(EOL) if step.run == run)


def built_to(recipe: Recipe, serial: str) -> BmsIdentity:
    """A BMS as the recipe's bill of materials demands it."""
    text = _step(recipe, "bms_identity").text
    return BmsIdentity(
        part_number=text("part_number"),
        ecu_serial=f"LBC{serial[-9:]}",
        pack_serial=serial,
        hardware=text("hardware"),
        software=text("software"),
        software_version=text("software_version"),
        calibration=text("calibration"),
    )


def energised_by(frame: CanFrame) -> str | None:
    """What a frame from the station would energise."""
    if frame.can_id == bms_broadcast.RELAY_REQUEST_ID and bms_broadcast.requested_relays(frame.data):
        return "contactor"
    if frame.can_id == matrix.REQUEST_ID and matrix.requested_energy_routes(frame.data):
        return "matrix route"
    return None
