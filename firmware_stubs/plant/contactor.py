"""A contactor's mechanics: when its contact follows the coil, how it bounces, and contacts that no longer move."""

from __future__ import annotations

import math
from typing import NamedTuple

from bmsctl.domain.ports import Relay
from firmware_stubs.noise import Noise

CLOSE_S, CLOSE_SPREAD_S = 18e-3, 2e-3
OPEN_S, OPEN_SPREAD_S = 8e-3, 1e-3
BOUNCE_S, BOUNCE_SPREAD_S = 1.5e-3, 0.5e-3
FIRST_TOUCH = 0.4
"""Share of the bounce during which the contact touches, before it lifts off once more."""


class Change(NamedTuple):
    """The contact's position from `t_s` on; `driven` by the coil, or else a bounce."""

    t_s: float
    closed: bool
    driven: bool


class Contactor:
    """One contactor. Changes lie ahead in `next_s` order until they are taken by `step`."""

    def __init__(self, relay: Relay, seed: int, seized: bool | None) -> None:
        """`seized`: True for a welded contact, False for one stuck open, None for one that moves."""
        self.relay = relay
        self.closed = seized is True
        self.refuses: bool | None = None
        """The movement that the contact no longer makes: True closing, False opening."""
        self.next_s = math.inf
        self._seized = seized is not None
        self._coil = False
        self._actuations = 0
        self._noise = Noise(seed, f"contactor.{relay}")
        self._ahead: list[Change] = []

    def drive(self, t_s: float, on: bool) -> None:
        """Energise or de-energise the coil; what the contact was about to do later than that is overtaken."""
        if on == self._coil:
            return
        self._coil = on
        actuation = self._actuations
        self._actuations += 1
        if self._seized or self.refuses is on:
            return
        changes = self._closing(t_s, actuation) if on else self._opening(t_s, actuation)
        self._ahead = [change for change in self._ahead if change.t_s < changes[0].t_s] + changes
        self.next_s = self._ahead[0].t_s

    def step(self) -> Change:
        """Take the next change."""
        change = self._ahead.pop(0)
        self.next_s = self._ahead[0].t_s if self._ahead else math.inf
        self.closed = change.closed
        return change

    def _closing(self, t_s: float, actuation: int) -> list[Change]:
        touch_s = t_s + CLOSE_S + CLOSE_SPREAD_S * self._deviation(3 * actuation)
        bounce_s = BOUNCE_S + BOUNCE_SPREAD_S * self._deviation(3 * actuation + 1)
        return [
            Change(touch_s, True, True),
            Change(touch_s + FIRST_TOUCH * bounce_s, False, False),
            Change(touch_s + bounce_s, True, False),
        ]

    def _opening(self, t_s: float, actuation: int) -> list[Change]:
        return [Change(t_s + OPEN_S + OPEN_SPREAD_S * self._deviation(3 * actuation + 2), False, True)]

    def _deviation(self, n: int) -> float:
        """Between -1 and 1: two standard deviations fill the specified spread."""
        return max(-1.0, min(1.0, 0.5 * self._noise.one(n)))
