"""What the station hears of the BMS: measurements and status, from the newest frames of its broadcast."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np

from bmsctl.domain.lease import Lease
from bmsctl.domain.message_sets import Channels
from bmsctl.domain.ports import F64, BmsTaps, CellSnapshot, PackSample, Relay
from bmsctl.domain.units import Ampere, Celsius, Ohm, Second, Volt
from bmsctl.drivers.bms_receiver import BAD_CYCLES, DEVICE, BmsReceiver, Good
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid
from bmsctl.protocols import bms_broadcast as broadcast
from bmsctl.protocols.bms_broadcast import Hvil, InsulationState, MessageSet

STOPPED_S = 1.0
"""So long without a frame, and the BMS has stopped sending."""
WATCH_S = 0.05
START_UP_FRAMES = 26
"""A measurement may be a sentinel so often after wake, without meaning anything."""
PERSISTENT_FRAMES = 10
"""Beyond start-up, so many sentinels in a row are the pack's own."""

CURRENTS = 6
"""Current frames looked at in one cycle of the cells."""
CURRENTS_MIN = 3
"""Of these, so many must have come within the cycle and have a value; a busy PC looks at fewer than it wants."""
CURRENTS_BLANK_MAX = 1
"""Of these, so many may have no value."""
CURRENT_EVERY_S = 0.014

_LOOP_CLOSED = {Hvil.CLOSED: True, Hvil.OPEN: False}


class BmsListener:
    """The part of `Bms` that only listens. Build inside the running loop."""

    def __init__(self, receiver: BmsReceiver, messages: MessageSet, channels: Channels) -> None:
        """`channels`: what the pack has of those in `messages`."""
        self._receiver = receiver
        self._messages = messages
        self._channels = channels
        self._cell_ids = messages.cells.holding(channels.cells)
        self._cycle_s = messages.cells.period_s
        self._newest_current: tuple[Ampere, float] | None = None
        self._now = asyncio.get_running_loop().time

    async def alive(self, lease: Lease, within: Second) -> float:
        asked_s = self._now()
        lease.quiet_for(within)
        while True:
            good = self._receiver.look(broadcast.STATUS_ID)
            if good is not None and good.t_s > asked_s:
                lease.touch()
                return good.t_s
            self._receiver.require_link()
            if self._now() > asked_s + within:
                where = "check KL30, KL15, and the signal connector with its CAN H and L"
                raise DeviceTimeout(DEVICE, f"not awake within {within:g} s; {where}")
            await asyncio.sleep(WATCH_S)

    async def silent(self, lease: Lease, within: Second) -> float:
        asked_s = self._now()
        lease.quiet_for(within + STOPPED_S)
        while True:
            heard_s = self._receiver.heard_s(broadcast.CURRENT_ID)
            quiet_s = self._now() - (asked_s if heard_s is None else heard_s)
            if quiet_s >= STOPPED_S:
                self._receiver.require_link()
                lease.touch()
                return self._now() - quiet_s
            if self._now() > asked_s + within + STOPPED_S:
                raise DeviceTimeout(DEVICE, f"still sending after {within:g} s; something keeps it awake")
            await asyncio.sleep(min(STOPPED_S - quiet_s + 1e-6, STOPPED_S / 4))

    def last_status_s(self) -> float | None:
        good = self._receiver.look(broadcast.STATUS_ID)
        return None if good is None else good.t_s

    async def frame_errors(self, lease: Lease, over: Second) -> int:
        return await self._receiver.observe(lease, over)

    async def ready(self, lease: Lease, within: Second) -> None:
        """Sentinels that outlast start-up on some cells are the pack's own and are not waited for."""
        asked_s = after_s = self._now()
        patience = START_UP_FRAMES + PERSISTENT_FRAMES
        missing: list[str] = []
        for cycle in range(patience + 1):
            last = await self._receiver.next(self._cell_ids[-1], lease, after_s)
            after_s = last.t_s
            if cycle == patience or last.payload != self._messages.cells.blank:
                missing = await self._missing(lease, all_cells=cycle < patience)
                if not missing:
                    return
            if after_s - asked_s > within:
                break
        shown = ", ".join(missing[:8]) + (" …" if len(missing) > 8 else "") if missing else "any cell"
        raise DeviceTimeout(DEVICE, f"no value after {self._now() - asked_s:.1f} s on {shown}; check its supply")

    async def _missing(self, lease: Lease, *, all_cells: bool) -> list[str]:
        """Names of taps and cells that are sentinels; of the cells only if it is all of them, or `all_cells`."""
        taps = await self.taps(lease)
        missing = [name for name in ("u_batt", "u_p", "u_n", "u_link") if getattr(taps, name) is None]
        frames = self._receiver.look_at_burst(self._cell_ids)
        payloads = [frame.payload for frame in frames if frame is not None]
        voltage_v = self._decode_cells(payloads)
        silent = np.flatnonzero(np.isnan(voltage_v)) + 1
        if len(payloads) < len(frames):
            missing.append("some cell frames")
        if all_cells or len(silent) == len(voltage_v):
            missing += [f"cell {cell}" for cell in silent]
        return missing

    def dbc_revision(self) -> int | None:
        good = self._receiver.look(broadcast.STATUS_ID)
        return None if good is None else broadcast.decode_status(good.payload).dbc_revision

    def _decode_cells(self, payloads: Sequence[int]) -> F64:
        """(cells,) volts, as far as the payloads go."""
        return self._messages.decode_cells(payloads)[: self._channels.cells]

    async def cells(self, lease: Lease, n: int) -> Sequence[CellSnapshot]:
        after_s = self._now()
        snapshots: list[CellSnapshot] = []
        for _ in range(n):
            frames = await self._cycle(self._cell_ids, lease, after_s, "cell voltages")
            after_s = frames[-1].t_s
            snapshots.append(CellSnapshot(self._decode_cells([frame.payload for frame in frames]), after_s))
        return snapshots

    async def _cycle(self, can_ids: Sequence[int], lease: Lease, after_s: float, what: str) -> list[Good]:
        """The next cycle of which every frame came, and came good."""
        for _ in range(BAD_CYCLES):
            last = await self._receiver.next(can_ids[-1], lease, after_s)
            frames = self._complete(can_ids, last)
            if frames is not None:
                return frames
            after_s = last.t_s
        lacking = self._lacking(can_ids, last)
        raise ReplyInvalid(DEVICE, f"no complete set of {what} in {BAD_CYCLES} cycles{lacking}; check the CAN wiring")

    def _complete(self, can_ids: Sequence[int], last: Good) -> list[Good] | None:
        """Newest frames of the cycle that ended with `last`; None unless all belong to it."""
        frames = [frame for frame in self._receiver.look_at_burst(can_ids) if self._of_cycle(frame, last)]
        return frames if len(frames) == len(can_ids) else None

    def _lacking(self, can_ids: Sequence[int], last: Good) -> str:
        """What kept the cycle that ended with `last` from being complete, of the first frame that did."""
        for can_id, frame in zip(can_ids, self._receiver.look_at_burst(can_ids), strict=True):
            if not self._of_cycle(frame, last):
                return f" (0x{can_id:03X}: {self._receiver.told(can_id, last.t_s)})"
        return ""

    def _of_cycle(self, frame: Good | None, last: Good) -> TypeGuard[Good]:
        """Whether a frame belongs to the cycle that ended with `last`."""
        return frame is not None and frame.alive == last.alive and abs(last.t_s - frame.t_s) < self._cycle_s

    async def samples(self, lease: Lease, n: int) -> Sequence[PackSample]:
        """Each cycle's current is the mean of at least CURRENTS_MIN frames spread over it."""
        after_s = await self._cycle_begun_s(lease)
        samples: list[PackSample] = []
        for _ in range(n):
            samples.append(await self._sample(lease, after_s))
            after_s = samples[-1].t_s
        return samples

    async def _cycle_begun_s(self, lease: Lease) -> float:
        """When this cycle began, if it leaves time for all looks at the current; else when the next one does."""
        newest = self._receiver.look(self._cell_ids[-1])
        if newest is not None and self._now() - newest.t_s < self._cycle_s - CURRENTS * CURRENT_EVERY_S:
            return newest.t_s
        return (await self._receiver.next(self._cell_ids[-1], lease, self._now())).t_s

    async def _sample(self, lease: Lease, after_s: float) -> PackSample:
        """The next cycle with all its cells and busbars and enough values of the current."""
        for _ in range(BAD_CYCLES):
            currents = await self._currents(lease, after_s)
            last = await self._receiver.next(self._cell_ids[-1], lease, after_s)
            after_s = last.t_s
            cells = self._complete(self._cell_ids, last)
            busbars = self._complete(self._messages.busbars.can_ids, last)
            current_a = self._mean_within(currents, after_s)
            if cells is None or busbars is None or current_a is None:
                after_s = await self._cycle_begun_s(lease)
                continue
            cell_v = self._decode_cells([frame.payload for frame in cells])
            bars = self._messages.decode_busbars([frame.payload for frame in busbars])[: self._channels.busbars]
            return PackSample(cell_v, np.array(bars, np.float64), current_a, after_s)
        raise ReplyInvalid(
            DEVICE, f"no cycle with all cells, busbars and current in {BAD_CYCLES}; check the CAN wiring"
        )

    def _mean_within(self, currents: Sequence[tuple[float, float | None]], ends_s: float) -> float | None:
        """Mean of those that were received in the cycle that ended at `ends_s`; None if they are too few."""
        within = [current_a for t_s, current_a in currents if ends_s - self._cycle_s < t_s <= ends_s]
        values = [current_a for current_a in within if current_a is not None]
        enough = len(values) >= CURRENTS_MIN and len(within) - len(values) <= CURRENTS_BLANK_MAX
        return sum(values) / len(values) if enough else None

    async def _currents(self, lease: Lease, after_s: float) -> list[tuple[float, float | None]]:
        """Receipt and value of CURRENTS frames of the current; fewer if the cycle begun at `after_s` is over."""
        found: list[tuple[float, float | None]] = []
        begun_s, ends_s = self._now(), after_s + self._cycle_s
        for number in range(1, CURRENTS + 1):
            await asyncio.sleep(begun_s + number * CURRENT_EVERY_S - self._now())
            good = await self._receiver.next(broadcast.CURRENT_ID, lease, after_s)
            after_s = good.t_s
            found.append((good.t_s, broadcast.decode_current(good.payload)))
            if after_s >= ends_s:
                break
        return found

    async def temperatures(self, lease: Lease) -> Sequence[Celsius | None]:
        """Waits out the first frames after wake, in which no sensor has a value."""
        after_s = self._now()
        can_ids = self._messages.temperatures.holding(self._channels.temperatures)
        values: list[float | None] = []
        for _ in range(BAD_CYCLES):
            frames = await self._cycle(can_ids, lease, after_s, "temperatures")
            payloads = [frame.payload for frame in frames]
            values = self._messages.decode_temperatures(payloads)[: self._channels.temperatures]
            if any(value is not None for value in values):
                break
            after_s = frames[-1].t_s
        return [None if value is None else Celsius(value) for value in values]

    async def taps(self, lease: Lease) -> BmsTaps:
        good = await self._receiver.next(broadcast.TAPS_ID, lease, self._now())
        taps = broadcast.decode_taps(good.payload)
        return BmsTaps(_volt(taps.u_batt), _volt(taps.u_p), _volt(taps.u_n), _volt(taps.u_link), good.t_s)

    async def current(self, lease: Lease) -> Ampere:
        after_s = self._now()
        for _ in range(START_UP_FRAMES + PERSISTENT_FRAMES):
            good = await self._receiver.next(broadcast.CURRENT_ID, lease, after_s)
            value = broadcast.decode_current(good.payload)
            if value is not None:
                return Ampere(value)
            after_s = good.t_s
        raise ReplyInvalid(DEVICE, "its current sensor gives no value")

    def newest_current(self) -> tuple[Ampere, float] | None:
        """A frame without a value leaves the one before it."""
        good = self._receiver.look(broadcast.CURRENT_ID)
        value = None if good is None else broadcast.decode_current(good.payload)
        if good is not None and value is not None:
            self._newest_current = Ampere(value), good.t_s
        return self._newest_current

    async def hvil_closed(self, lease: Lease) -> bool | None:
        good = await self._receiver.next(broadcast.STATUS_ID, lease, self._now())
        return _LOOP_CLOSED.get(broadcast.decode_status(good.payload).hvil)

    async def hvil_becomes(self, lease: Lease, closed: bool, within: Second) -> float:
        asked_s = after_s = self._now()
        while True:
            good = await self._receiver.next(broadcast.STATUS_ID, lease, after_s)
            if _LOOP_CLOSED.get(broadcast.decode_status(good.payload).hvil) is closed:
                return good.t_s
            after_s = good.t_s
            if after_s - asked_s > within:
                state = "closed" if closed else "open"
                raise DeviceTimeout(DEVICE, f"its interlock flag is not {state} within {within:g} s; check the loop")

    async def imd(self, lease: Lease, within: Second) -> Ohm:
        asked_s = after_s = self._now()
        while True:
            good = await self._receiver.next(broadcast.INSULATION_ID, lease, after_s)
            insulation = broadcast.decode_insulation(good.payload)
            if insulation.state is InsulationState.OFF:
                raise DeviceRefused(DEVICE, "its insulation monitor is switched off")
            if insulation.state is InsulationState.SETTLED and insulation.resistance_ohm is not None:
                return Ohm(insulation.resistance_ohm)
            if good.t_s - asked_s > within:
                raise DeviceTimeout(DEVICE, f"its insulation monitor has not settled within {within:g} s")
            after_s = good.t_s

    def relays(self) -> Mapping[Relay, bool] | None:
        """A driver that reports a fault, or nothing, counts as closed."""
        good = self._receiver.look(broadcast.STATUS_ID)
        if good is None:
            return None
        return {relay: on is not False for relay, on in broadcast.decode_status(good.payload).relays.items()}


def _volt(value: float | None) -> Volt | None:
    return None if value is None else Volt(value)
