"""The station's ear on the BMS broadcast: only frames with a right check and a moving counter count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import CanFrame, CanLink, LinkState
from bmsctl.errors import DeviceTimeout, LinkDown, ReplyInvalid
from bmsctl.protocols.bms_broadcast import CURRENT_ID, MessageSet
from bmsctl.protocols.bms_broadcast.envelope import unseal, unseal_burst

DEVICE = "bms"
SILENT_S = 0.3
"""Without a frame for so long, or three periods, where frames are due, the BMS is silent."""

BAD_CYCLES = 5
"""So many frames in a row that are damaged, or repeat their counter, and the signal is not believed."""

COUNTER_TURN = 15
"""After so many periods without a look a counter of 4 bits tells nothing."""

CONFLICT, CONFLICTS_MAX = 2, 6
"""What a jump of the counter weighs, which every step as expected lightens by one, and the weight from which two units
are heard: a single restart or a stall of the machine weighs less."""

JITTER_S = 0.03
"""How late a frame may be sent or read, without a second unit being the reason: a PC and its adapter add to the bus."""

SLACK_S = 0.002
"""How much later than expected a frame is looked for."""


class Good(NamedTuple):
    """A frame that passed its check, received at loop time `t_s`."""

    t_s: float
    alive: int
    payload: int


class _Channel:
    """What is known of one identifier. `counted`: the newest undamaged frame whose counter had moved."""

    __slots__ = (
        "bad",
        "conflict",
        "counted",
        "errors",
        "examined",
        "good",
        "jitter",
        "jumps",
        "length",
        "period_s",
        "stuck",
    )

    def __init__(self, period_s: float, length: int) -> None:
        self.period_s = period_s
        self.jitter = max(1, int(JITTER_S / period_s))
        self.length = length
        self.examined: CanFrame | None = None
        self.counted: Good | None = None
        self.good: Good | None = None
        self.bad = 0
        self.conflict = 0
        self.jumps = 0
        self.stuck = 0
        self.errors = 0

    def examine(self, frame: CanFrame, sealed: tuple[int, int] | None) -> None:
        """Judge a frame received since the last one examined, by its counter and payload; None: it failed its check.

        Only the newest frame is kept, so the counter's steps are judged by the time between two looks; one more
        or less is jitter, and of a fast frame as many as JITTER_S holds. After a whole turn of the counter only a
        frame that repeats the last one is told.
        Once two units have been heard, neither is believed until the identifier has been quiet.
        """
        self.examined = frame
        if sealed is None:
            self.bad += 1
            self.errors += 1
            return
        self.bad = 0
        new = Good(frame.t_s, *sealed)
        last = self.counted
        if last is not None:
            due, steps = round((new.t_s - last.t_s) / self.period_s), new.alive - last.alive & 0xF
            if steps == 0 and (due < COUNTER_TURN or new.payload == last.payload):
                self.stuck += 1
                self.errors += 1
                return
            self._compare(due, steps)
        self.stuck = 0
        self.counted = new
        if self.conflict < CONFLICTS_MAX:
            self.good = new

    def _compare(self, due: int, steps: int) -> None:
        """Weigh a counter that went on by `steps` where `due` were expected."""
        if due >= COUNTER_TURN:
            self.conflict = 0
        elif abs(steps - due) > self.jitter:
            self.errors += 1
            self.jumps += 1
            self.conflict += CONFLICT
        elif 0 < self.conflict < CONFLICTS_MAX:
            self.conflict -= 1


class BmsReceiver:
    """Newest frames of the BMS, checked when somebody looks at them."""

    def __init__(self, can: CanLink, messages: MessageSet) -> None:
        self._can = can
        can.latch(messages.period_s)
        self._channels = {
            can_id: _Channel(period_s, messages.length[can_id]) for can_id, period_s in messages.period_s.items()
        }

    @property
    def errors(self) -> int:
        """Frames examined so far that had a bad length, CRC or counter."""
        return sum(channel.errors for channel in self._channels.values())

    def look(self, can_id: int) -> Good | None:
        """The newest good frame, None before the first. Judge its age by `t_s`."""
        channel = self._channels[can_id]
        frame = self._can.newest(can_id)
        if frame is not None and frame is not channel.examined:
            channel.examine(frame, unseal(can_id, frame.data, channel.length))
        return channel.good

    def look_at_burst(self, can_ids: Sequence[int]) -> list[Good | None]:
        """As `look`, for frames of one length that are sent together."""
        newest, channels = self._can.newest, self._channels
        fresh = [
            frame
            for can_id in can_ids
            if (frame := newest(can_id)) is not None and frame is not channels[can_id].examined
        ]
        if fresh:
            length = channels[can_ids[0]].length
            sealed = unseal_burst([frame.can_id for frame in fresh], [frame.data for frame in fresh], length)
            for frame, held in zip(fresh, sealed, strict=True):
                channels[frame.can_id].examine(frame, held)
        return [channels[can_id].good for can_id in can_ids]

    def heard_s(self, can_id: int) -> float | None:
        """When the newest frame came, good or bad; None before the first."""
        frame = self._can.newest(can_id)
        return None if frame is None else frame.t_s

    def told(self, can_id: int, at_s: float) -> str:
        """How the frames with an identifier are, for people; ages are before loop time `at_s`."""
        channel = self._channels[can_id]
        if channel.good is None:
            return f"never undamaged, {channel.bad} damaged in a row"
        return (
            f"undamaged {at_s - channel.good.t_s:.3f} s before the last of the cycle, since then {channel.bad} damaged "
            f"and {channel.stuck} with the same counter; {channel.jumps} jumps of the counter so far"
        )

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
        lease.quiet_for(max(patience_s, (BAD_CYCLES + 1) * channel.period_s))
        self.require_link()
        if after_s >= started_s and channel.examined is not None:
            await asyncio.sleep(_until_next_s(channel.examined.t_s, channel.period_s, started_s))
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
        if channel.conflict >= CONFLICTS_MAX:
            raise ReplyInvalid(
                DEVICE, f"two units send 0x{can_id:03X}, their counters conflict; disconnect the other pack or gateway"
            )
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
            ReplyInvalid: no frame with some identifier is fit any more, for no wire's noise damages all; or counters
                of several identifiers jump, which is no defect of one unit.
            LinkDown: the adapter is gone.
        """
        loop = asyncio.get_running_loop()
        before = self.errors
        jumps = {can_id: channel.jumps for can_id, channel in self._channels.items()}
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
        for can_id, channel in self._channels.items():
            self._judge(can_id, channel, silent=False)
        jumped = [can_id for can_id, channel in self._channels.items() if channel.jumps > jumps[can_id]]
        if len(jumped) > 1:
            raise ReplyInvalid(
                DEVICE,
                f"the counters of {len(jumped)} identifiers jump: two units send, or it has restarted, or this PC was "
                "too busy to listen; disconnect the other pack or gateway",
            )
        lease.touch()
        return self.errors - before


def _until_next_s(heard_s: float, period_s: float, now_s: float) -> float:
    """How long until the next frame of a series is here, of which one was heard at `heard_s`."""
    since_s = now_s - heard_s
    return (since_s // period_s + 1.0) * period_s - since_s + SLACK_S
