"""Ends of wires that lead nowhere: a stub sits on one where a real device has taken its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bmsctl.domain.links import CanFrame
from firmware_stubs.ports import Cyclic, Pieces, Tamper


class OpenCan:
    """Carries nothing; implements DisturbedCan."""

    tamper: Tamper | None = None
    tamper_heard: Tamper | None = None

    def emit(self, frame: CanFrame) -> None:
        """Nobody hears it."""

    def start(self, cyclics: Iterable[Cyclic]) -> None:
        """Nobody hears them."""

    def settle(self, ids: Iterable[int] | None = None) -> None:
        """Nothing is due."""

    def stop(self) -> None:
        """Nothing was started."""

    def listen(self, ids: Iterable[int], sink: Callable[[CanFrame], None]) -> None:
        """Nothing comes."""

    def mute(self, on: bool) -> None:
        """It is silent anyway."""


class OpenSerial:
    """Carries nothing; implements DisturbedSerial."""

    muted = False
    tamper: Callable[[bytes], Pieces] | None = None

    def emit(self, data: bytes, delay_s: float = 0.0) -> None:
        """Nobody hears it."""

    def listen(self, sink: Callable[[bytes], None]) -> None:
        """Nothing comes."""
