"""The HV matrix over CAN: a route counts as closed or open when its auxiliary contact says so."""

from __future__ import annotations

import asyncio
from collections.abc import Set

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanLink
from bmsctl.domain.ports import Route
from bmsctl.domain.units import Second
from bmsctl.drivers.station_bus import Frames, Reports
from bmsctl.errors import DeviceRefused, DeviceTimeout, LinkDown, TxFull
from bmsctl.protocols import matrix
from bmsctl.protocols.matrix import Feedback, Refusal

DEVICE = "matrix"
CONFIRMED_WITHIN_S = Second(0.25)
FRESH_S = 4 * matrix.FEEDBACK_PERIOD_S

_FRAMES = Frames(
    matrix.REQUEST_ID,
    matrix.FEEDBACK_CHANGED_ID,
    matrix.FEEDBACK_ID,
    matrix.FEEDBACK_PERIOD_S,
    matrix.decode_feedback,
)
_REFUSED = {
    Refusal.ILLEGAL_SET: "exclude each other",
    Refusal.NO_FEED: "not switched: the safety PLC does not feed the relays",
    Refusal.HOT: "not switched under voltage: discharge first",
    Refusal.REPEATED: "not switched: the request looked like a repeated one; check for a second sender",
    Refusal.COILS_FED: "not switched: the pack's contactors could close onto the tester; cut their coil supply first",
}


class CanMatrix:
    """Implements Matrix. `errors` counts damaged or repeated frames."""

    def __init__(self, can: CanLink) -> None:
        self._reports = Reports(can, _FRAMES)

    @property
    def errors(self) -> int:
        return self._reports.errors

    async def connect(self, lease: Lease, routes: Set[Route]) -> None:
        sent_s = asyncio.get_running_loop().time()
        alive = self._send(routes, lease)
        try:
            await self._reports.until(lambda seen: _answers(seen, alive, routes), sent_s, CONFIRMED_WITHIN_S)
        except TimeoutError:
            raise _no_feedback(routes, CONFIRMED_WITHIN_S) from None
        lease.touch()

    def open_all(self) -> None:
        try:
            self._send(frozenset(), None)
        except (LinkDown, TxFull):
            self._reports.errors += 1

    async def await_routes(self, routes: Set[Route], within: Second) -> None:
        self._reports.look()
        since_s = asyncio.get_running_loop().time() - FRESH_S
        try:
            await self._reports.until(lambda seen: seen.routes == routes and not seen.moving, since_s, within)
        except TimeoutError:
            raise _no_feedback(routes, within) from None

    def _send(self, routes: Set[Route], lease: Lease | None) -> int:
        """Send a Request; its alive counter."""
        return self._reports.request(lambda alive: matrix.encode_request(matrix.Request(routes, alive)), lease)


def _answers(seen: Feedback, alive: int, routes: Set[Route]) -> bool:
    """Whether this feedback confirms request `alive` for `routes`.

    Raises:
        DeviceRefused: it says no, or a contact is not where it should be.
    """
    if seen.echo != alive:
        return False
    if seen.refusal is not Refusal.NONE:
        raise DeviceRefused(DEVICE, f"{_names(routes)} {_REFUSED[seen.refusal]}")
    if seen.moving:
        return False
    if seen.fault or seen.routes != routes:
        text = f"feedback shows {_names(seen.routes)} instead of {_names(routes)}; a relay is stuck"
        raise DeviceRefused(DEVICE, text)
    return True


def _no_feedback(routes: Set[Route], within: Second) -> DeviceTimeout:
    text = f"no feedback of {_names(routes)} within {within:g} s; check its supply and the CAN cable"
    return DeviceTimeout(DEVICE, text)


def _names(routes: Set[Route]) -> str:
    return " + ".join(sorted(routes)) or "no route"
