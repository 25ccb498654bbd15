"""Firmware of the safety PLC: safety chain, dead-man, permissive, 12 V supply, discharge and its proof.

What it switches: the coil supply of the pack's contactors, the feed of the HV matrix, the discharge resistor
across the outer poles, and the resistors by which it measures the poles to chassis. It permits high voltage
only with guard and e-stop closed, nothing latched, challenges answered, and a run token it has not seen.
A trip is stop category 0, a dropped permit stop category 1 with the same cut at its end.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from typing import Protocol

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import TripCause
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK
from firmware_stubs.noise import draw
from firmware_stubs.plant import Element
from firmware_stubs.plc_meter import Measurable, Voltmeter
from firmware_stubs.ports import CanPort, Cyclic

DEAD_MAN_S = 0.25
SAFE_STOP_S = 0.5
REACTION_S = 0.02
RELAY_S = 0.015
DISCHARGED_WITHIN_S = 5.0
PERMIT_MAX_S = 1800.0

_NEVER_S = -math.inf


class Phase(enum.Enum):
    """Where the PLC's outputs are between de-energised and permitted."""

    SAFE = enum.auto()
    GRANTING = enum.auto()
    PERMITTED = enum.auto()
    STOPPING = enum.auto()
    TRIPPING = enum.auto()
    CUT = enum.auto()


_OUTPUTS = {
    Phase.SAFE: plc.DISCHARGING,
    Phase.GRANTING: plc.DISCHARGING,
    Phase.PERMITTED: plc.PERMISSIVE | plc.COIL_SUPPLY,
    Phase.STOPPING: plc.COIL_SUPPLY,
    Phase.TRIPPING: plc.COIL_SUPPLY,
    Phase.CUT: 0,
}
_ARMED = (Phase.PERMITTED, Phase.STOPPING)


class StationPlant(Measurable, Protocol):
    """What the PLC's outputs and inputs are wired to."""

    def switch(self, t_s: float, element: Element, closed: bool) -> None: ...
    def coil_supply(self, t_s: float, on: bool) -> None: ...


class PlcStub:
    """One PLC on a bus; build it inside a running loop. Its outputs begin de-energised.

    Args:
        on_supply: called with (KL30, KL15) when the pack's 12 V supply or wake line is switched.
        on_energy: called when the matrix's coil feed is switched.
    """

    def __init__(
        self,
        port: CanPort,
        plant: StationPlant,
        seed: int,
        *,
        on_supply: Callable[[bool, bool], None],
        on_energy: Callable[[bool], None],
    ) -> None:
        self._port, self._plant = port, plant
        self._on_supply, self._on_energy = on_supply, on_energy
        self._meter = Voltmeter(plant, seed)
        self._loop = asyncio.get_running_loop()
        self._phase, self._outputs = Phase.SAFE, _OUTPUTS[Phase.SAFE]
        self._timer: asyncio.TimerHandle | None = None
        self.cut_s: float | None = None
        """When the outputs were last cut."""
        self._inputs = plc.GUARD_CLOSED | plc.ESTOP_RELEASED
        self._cause = TripCause.NONE
        self._supply = self._supply_wanted = 0
        self._token, self._used_tokens = 0, set[int]()
        self._refusal = Refusal.NONE
        self._request_alive: int | None = None
        self._events = 0
        self._permitted_until_s = self._answered_s = _NEVER_S
        self._draws = draw(seed, "plc.nonce")
        self._nonces: list[int] = []
        self._sequence = self._nonce = 0
        self._start_s = self._tick_s = self._loop.time()
        plant.coil_supply(self._start_s, False)
        self._discharge_resistors(self._start_s, True)
        port.listen([plc.ANSWER_ID], self._take_answer)
        port.listen([plc.REQUEST_ID], self._take_request)
        port.start(
            (
                Cyclic(plc.STATUS_ID, plc.STATUS_PERIOD_S, self._status),
                Cyclic(plc.VOLTAGES_ID, plc.VOLTAGES_PERIOD_S, self._voltages),
            )
        )
        self._tick()

    @property
    def tripped(self) -> bool:
        """Whether a trip is latched."""
        return self._cause is not TripCause.NONE

    @property
    def permitted(self) -> bool:
        """Whether high voltage is permitted."""
        return self._phase is Phase.PERMITTED

    def press_estop(self) -> None:
        """A person presses the emergency stop."""
        self._open_chain(plc.ESTOP_RELEASED, TripCause.ESTOP)

    def open_guard(self) -> None:
        """A person opens the guard."""
        self._open_chain(plc.GUARD_CLOSED, TripCause.GUARD)

    def reset(self) -> None:
        """A person releases the e-stop, closes the guard and presses the reset button; no telegram can."""
        self._port.settle()
        self._inputs = plc.GUARD_CLOSED | plc.ESTOP_RELEASED
        self._cause = TripCause.NONE
        self._publish()

    def _open_chain(self, contact: int, cause: TripCause) -> None:
        self._port.settle()
        self._inputs &= ~contact
        self._trip(cause, self._loop.time())

    def _tick(self) -> None:
        """Ask the next question; trip if the last ones were not answered."""
        now_s = self._loop.time()
        if self._phase in _ARMED:
            if now_s - self._answered_s >= DEAD_MAN_S:
                self._port.settle()
                self._trip(TripCause.WATCHDOG, self._dead_man_due_s())
            elif self._phase is Phase.PERMITTED and now_s > self._permitted_until_s:
                self._port.settle()
                self._begin_safe_stop()
                self._publish()
        self._sequence = self._sequence + 1 & 0xFF
        if not self._nonces:
            self._nonces = self._draws.integers(0, 1 << 32, 256).tolist()
        self._nonce = self._nonces.pop()
        question = plc.Question(self._sequence, self._nonce, self._flags())
        self._port.emit(CanFrame(plc.CHALLENGE_ID, plc.encode_challenge(question)))
        self._tick_s += plc.CHALLENGE_PERIOD_S
        if self._tick_s <= now_s:
            self._tick_s += math.ceil((now_s - self._tick_s) / plc.CHALLENGE_PERIOD_S + 1e-6) * plc.CHALLENGE_PERIOD_S
        self._loop.call_at(self._tick_s, self._tick)

    def _settle(self) -> None:
        """Let a dead-man that has run out meanwhile trip before anything that came too late is looked at."""
        if self._phase in _ARMED and self._loop.time() >= max(self._tick_s, self._dead_man_due_s()):
            self._port.settle()
            self._trip(TripCause.WATCHDOG, self._dead_man_due_s())

    def _dead_man_due_s(self) -> float:
        """When the dead-man, looked at with every question, runs out; also if the loop came too late to see it."""
        missed = max(0.0, self._answered_s + DEAD_MAN_S - self._tick_s) / plc.CHALLENGE_PERIOD_S
        return self._tick_s + math.ceil(missed - 1e-6) * plc.CHALLENGE_PERIOD_S

    def _take_answer(self, frame: CanFrame) -> None:
        self._settle()
        reply = plc.decode_answer(frame.data)
        if reply is None or reply.sequence != self._sequence:
            return
        if reply.response == plc.response(self._nonce, self._token):
            self._answered_s = self._loop.time()

    def _take_request(self, frame: CanFrame) -> None:
        self._settle()
        request = plc.decode_request(frame.data)
        if request is None:
            return
        self._port.settle()
        if request.alive == self._request_alive:
            request = self._only_less(request)
        self._request_alive = request.alive
        self._refusal = Refusal.NONE
        self._switch_supply(request.kl30 * plc.KL30 | request.kl15 * plc.KL15)
        if request.permit:
            self._permit(request.token)
        else:
            self._drop_permit()
        self._token = request.token
        self._publish()

    def _only_less(self, request: plc.Request) -> plc.Request:
        """A repeated telegram may remove energy, never add any."""
        return request._replace(
            permit=request.permit and self._phase is Phase.PERMITTED,
            kl30=request.kl30 and bool(self._supply & plc.KL30),
            kl15=request.kl15 and bool(self._supply & plc.KL15),
        )

    def _switch_supply(self, wanted: int) -> None:
        if wanted != self._supply_wanted:
            self._supply_wanted = wanted
            self._loop.call_later(RELAY_S, self._supply_switched, wanted)

    def _supply_switched(self, wanted: int) -> None:
        self._port.settle()
        self._supply = wanted
        self._on_supply(bool(wanted & plc.KL30), bool(wanted & plc.KL15))
        self._publish()

    def _permit(self, token: int) -> None:
        if self._phase is Phase.PERMITTED and token != self._token:
            self._refusal = Refusal.STOPPING
            self._begin_safe_stop()
        elif self._phase is Phase.SAFE:
            self._refusal = self._refusal_of(token)
            if self._refusal is Refusal.NONE:
                self._used_tokens.add(token)
                self._enter(Phase.GRANTING, self._loop.time() + RELAY_S, self._energise)
        elif self._phase not in (Phase.GRANTING, Phase.PERMITTED):
            self._refusal = Refusal.TRIPPED if self.tripped else Refusal.STOPPING

    def _refusal_of(self, token: int) -> Refusal:
        if not self._inputs & plc.GUARD_CLOSED:
            return Refusal.GUARD_OPEN
        if not self._inputs & plc.ESTOP_RELEASED:
            return Refusal.ESTOP_PRESSED
        if self.tripped:
            return Refusal.TRIPPED
        if token == 0 or token in self._used_tokens:
            return Refusal.TOKEN_USED
        if self._loop.time() - self._answered_s >= DEAD_MAN_S:
            return Refusal.NO_ANSWER
        return Refusal.NONE

    def _drop_permit(self) -> None:
        if self._phase is Phase.PERMITTED:
            self._begin_safe_stop()
        elif self._phase is Phase.GRANTING:
            self._enter(Phase.SAFE)

    def _begin_safe_stop(self) -> None:
        self._enter(Phase.STOPPING, self._loop.time() + SAFE_STOP_S, self._cut)

    def _trip(self, cause: TripCause, at_s: float) -> None:
        if not self.tripped:
            self._cause = cause
        if self._phase in _ARMED:
            self._enter(Phase.TRIPPING, at_s + REACTION_S, self._cut)
        elif self._phase is Phase.GRANTING:
            self._enter(Phase.SAFE)
        self._publish()

    def _enter(self, phase: Phase, until_s: float = 0.0, then: Callable[[float], None] | None = None) -> None:
        """Change the phase; `then` is called with `until_s` at that time, or at once if it is past."""
        if self._timer is not None:
            self._timer.cancel()
        self._phase, self._outputs = phase, _OUTPUTS[phase]
        self._timer = None if then is None else self._loop.call_at(until_s, then, until_s)

    def _energise(self, at_s: float) -> None:
        """The discharge relay has opened: coil supply and matrix feed on."""
        self._port.settle()
        self._enter(Phase.PERMITTED)
        self._permitted_until_s = at_s + PERMIT_MAX_S
        self._discharge_resistors(at_s, False)
        self._plant.coil_supply(at_s, True)
        self._on_energy(True)
        self._publish()

    def _cut(self, at_s: float) -> None:
        """Coil supply and matrix feed off; the discharge relay follows."""
        self._port.settle()
        self.cut_s = at_s
        self._enter(Phase.CUT, at_s + RELAY_S, self._discharge)
        self._plant.coil_supply(at_s, False)
        self._on_energy(False)
        self._publish()

    def _discharge(self, at_s: float) -> None:
        self._port.settle()
        self._enter(Phase.SAFE, at_s + DISCHARGED_WITHIN_S, self._expect_discharged)
        self._discharge_resistors(at_s, True)
        self._publish()

    def _discharge_resistors(self, at_s: float, closed: bool) -> None:
        self._plant.switch(at_s, Element.DISCHARGE, closed)
        self._plant.switch(at_s, Element.PE_PROOF, closed)

    def _expect_discharged(self, at_s: float) -> None:
        if not self._voltage_free(self._loop.time()):
            self._port.settle()
            self._trip(TripCause.SAFE_STOP_TIMEOUT, at_s)

    def _flags(self) -> int:
        return self._inputs | self._supply | self._outputs | (plc.TRIPPED if self.tripped else 0)

    @property
    def _discharging(self) -> bool:
        return bool(self._outputs & plc.DISCHARGING)

    def _voltage_free(self, t_s: float) -> bool:
        return self._discharging and self._meter.voltage_free(self._sample(t_s), t_s)

    def _sample(self, t_s: float) -> int:
        return round((t_s - self._start_s) / plc.VOLTAGES_PERIOD_S)

    def _publish(self) -> None:
        self._events += 1
        data = self._encode(self._events, self._loop.time(), plc.STATUS_CHANGED_ID)
        self._port.emit(CanFrame(plc.STATUS_CHANGED_ID, data))

    def _status(self, n: int, t_s: float) -> bytes:
        return self._encode(n, t_s, plc.STATUS_ID)

    def _encode(self, alive: int, t_s: float, can_id: int) -> bytes:
        echo = 0 if self._request_alive is None else self._request_alive
        status = plc.Status(
            self._flags(), self._voltage_free(t_s), self._cause, self._refusal, echo, alive & ALIVE_MASK
        )
        return plc.encode_status(status, can_id)

    def _voltages(self, n: int, t_s: float) -> bytes:
        read_v = self._meter.read(self._sample(t_s), t_s, 0, to_chassis=self._discharging)
        return plc.encode_voltages(plc.Voltages(*read_v, n & ALIVE_MASK))
