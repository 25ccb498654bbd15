"""The station's ear on the BMS broadcast: only frames with a right check and a moving counter count."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink, LinkState
from bmsctl.errors import DeviceTimeout, LinkDown, ReplyInvalid
from bmsctl.protocols.bms_broadcast import CURRENT_ID, PERIOD_S, unseal

DEVICE = "bms"
SILENT_S = 0.3
"""Without a frame for so long, or three periods, where frames are due, the BMS is silent."""

BAD_CYCLES = 5
"""So many frames in a row that are damaged, or repeat their counter, and the signal is not believed."""

SLACK_S = 0.002
"""How much later than expected a frame is looked for."""


class Good(NamedTuple):
    """A frame that passed its check, received at loop time `t_s`."""

    t_s: float
    alive: int
    payload: int


class _Channel:
    """What is known of one identifier."""

    __slots__ = ("bad", "errors", "examined", "good", "period_s", "stuck")

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.examined: CanFrame | None = None
        self.good: Good | None = None
        self.bad = 0
        self.stuck = 0
        self.errors = 0

    def examine(self, frame: CanFrame) -> None:
        """Check a frame received since the last one examined."""
        self.examined = frame
        sealed = unseal(frame.can_id, frame.data)
        if sealed is None:
            self.bad += 1
            self.errors += 1
            return
        self.bad = 0
        moved, right = self._progress(sealed.alive, frame.t_s)
        self.errors += not right
        if moved:
            self.stuck = 0
            self.good = Good(frame.t_s, *sealed)
        else:
            self.stuck += 1

    def _progress(self, alive: int, t_s: float) -> tuple[bool, bool]:
        """Whether the counter moved since the last good frame, and by the right number of steps.

        Only the newest frame is kept, so steps are counted from the time between two looks; one more or
        less is jitter, and after a whole turn of the counter nothing can be told.
        """
        if self.good is None:
            return True, True
        due = round((t_s - self.good.t_s) / self.period_s)
        if due >= 15:
            return True, True
        steps = alive - self.good.alive & 0xF
        return steps != 0, steps != 0 and abs(steps - due) <= 1


class BmsReceiver:
    """Newest frames of the BMS, checked when somebody looks at them."""

    def __init__(self, can: CanLink) -> None:
        self._can = can
        can.latch(PERIOD_S)
        self._channels = {can_id: _Channel(period_s) for can_id, period_s in PERIOD_S.items()}

    @property
    def errors(self) -> int:
        """Frames examined so far that had a bad length, CRC or counter."""
        return sum(channel.errors for channel in self._channels.values())

    def look(self, can_id: int) -> Good | None:
        """The newest good frame, None before the first. Judge its age by `t_s`."""
        channel = self._channels[can_id]
        frame = self._can.newest(can_id)
        if frame is not None and frame is not channel.examined:
            channel.examine(frame)
        return channel.good

    def heard_s(self, can_id: int) -> float | None:
        """When the newest frame came, good or bad; None before the first."""
        frame = self._can.newest(can_id)
        return None if frame is None else frame.t_s

    async def next(self, can_id: int, lease: Lease, after_s: float) -> Good:
        """The next good frame received after `after_s`.

        Raises:
            DeviceTimeout: no frame came while frames are due.
            ReplyInvalid: frames come, but damaged or with a counter that stands still.
            LinkDown: the adapter is gone.
        """
        loop = asyncio.get_running_loop()
        channel = self._channels[can_id]
        patience_s = max(SILENT_S, 3.0 * channel.period_s)
        started_s = loop.time()
        lease.quiet_for(patience_s)
        while True:
            good = self.look(can_id)
            if good is not None and good.t_s > after_s:
                lease.touch()
                return good
            now_s = loop.time()
            heard_s = max(started_s, channel.examined.t_s if channel.examined else 0.0)
            self._judge(can_id, channel, silent=now_s - heard_s > patience_s)
            await asyncio.sleep(self._pause_s(channel, now_s))

    def _judge(self, can_id: int, channel: _Channel, silent: bool) -> None:
        if channel.bad >= BAD_CYCLES:
            raise ReplyInvalid(
                DEVICE, f"{channel.bad} frames 0x{can_id:03X} in a row are damaged; check the CAN wiring"
            )
        if channel.stuck >= BAD_CYCLES:
            raise ReplyInvalid(DEVICE, f"stale: the counter of 0x{can_id:03X} stands still; the BMS hangs")
        self.require_link()
        if silent:
            raise self._silent(can_id)

    @staticmethod
    def _silent(can_id: int) -> DeviceTimeout:
        return DeviceTimeout(DEVICE, f"no frame 0x{can_id:03X}; check the pack's signal connector and its 12 V")

    def require_link(self) -> None:
        """Raise LinkDown unless the CAN controller is on the bus."""
        state = self._can.health().state
        if state is not LinkState.UP:
            raise LinkDown(DEVICE, f"the CAN controller is {state.value}; check termination and wiring")

    @staticmethod
    def _pause_s(channel: _Channel, now_s: float) -> float:
        """Until shortly after the next frame is due; a quarter period if it is late."""
        if channel.examined is not None:
            due_s = channel.examined.t_s + channel.period_s + SLACK_S - now_s
            if due_s > 0.0:
                return due_s
        return max(channel.period_s / 4, SLACK_S)

    async def observe(self, lease: Lease, duration_s: float) -> int:
        """Look at every frame as often as it is sent; how many were bad.

        Raises:
            DeviceTimeout: the fastest frame stopped.
            LinkDown: the adapter is gone.
        """
        loop = asyncio.get_running_loop()
        before = self.errors
        lease.quiet_for(duration_s)
        started_s = loop.time()
        fastest = self._channels[CURRENT_ID]
        every: dict[int, list[int]] = {}
        for can_id, channel in self._channels.items():
            every.setdefault(round(channel.period_s / fastest.period_s), []).append(can_id)
        turn = 0
        while (now_s := loop.time()) < started_s + duration_s:
            for turns, can_ids in every.items():
                if turn % turns == 0:
                    for can_id in can_ids:
                        self.look(can_id)
            heard_s = max(started_s, fastest.examined.t_s if fastest.examined else 0.0)
            self.require_link()
            if now_s - heard_s > SILENT_S:
                raise self._silent(CURRENT_ID)
            turn += 1
            await asyncio.sleep(fastest.period_s)
        lease.touch()
        return self.errors - before
