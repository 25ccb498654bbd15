"""Firmware of the safety PLC: safety chain, dead-man, permissive, 12 V supply, discharge and its proof.

What it switches: the coil supply of the pack's contactors, the feed of the HV matrix, the enable line of the
sources, the discharge resistor across the outer poles, the resistors by which it measures the poles to chassis,
the pack's 12 V and wake line, and the station's part of the pack's interlock loop. It permits high voltage only
with guard and e-stop closed, nothing latched, challenges answered, and a run token it has not seen. A trip is stop
category 0, a dropped permit stop category 1 with the same cut at its end.

No contact opens under current: whenever the coils are to be cut, the sources' enable goes first. No test voltage
stands at a contact that closes: whenever the coils are to be fed again, the matrix learns of it, and the outer poles
are proved to be below 60 V, before. No voltage is proved absent by resistors that their relay's feedback does not show
connected, nor by two voltmeters that have contradicted each other.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable

from bmsctl.domain.links import CanFrame
from bmsctl.domain.ports import TripCause
from bmsctl.protocols import plc
from bmsctl.protocols.plc import Refusal
from bmsctl.protocols.station_bus import ALIVE_MASK
from firmware_stubs.noise import draw
from firmware_stubs.plc_meter import Thermometer, Voltmeter
from firmware_stubs.plc_outputs import RELAY_S, EnergyOutputs, Relays, StationPlant, unwired, unwired_line
from firmware_stubs.ports import CanPort, Cyclic

DEAD_MAN_S = 0.28
SAFE_STOP_S = 0.5
REACTION_S = 0.02
DISCHARGED_WITHIN_S = 5.0
PROOF_S = 0.1
"""Ten time constants of the proof resistors and what a pack has from its outer poles to chassis."""
PERMIT_MAX_S = 1800.0
COMPARED_EVERY = 20
"""Challenges between two comparisons of the voltmeters."""

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
    Phase.PERMITTED: plc.PERMISSIVE,
    Phase.STOPPING: 0,
    Phase.TRIPPING: 0,
    Phase.CUT: 0,
}
"""Flags of each phase; the coils' are their own, for they can be cut while high voltage is permitted."""
_ARMED = (Phase.PERMITTED, Phase.STOPPING)


class PlcStub:
    """One PLC on a bus; build it inside a running loop. Its outputs begin de-energised, the interlock loop bridged.

    Args:
        on_supply: called with (KL30, KL15) when the pack's 12 V supply or wake line is switched.
        on_energy, on_coils, on_source: see EnergyOutputs.
        air_c: the hall's air temperature; None for a broken sensor.
        adapter: code of the adapter that is mated; `adapter` is an attribute, for somebody may mate another.
    """

    def __init__(
        self,
        port: CanPort,
        plant: StationPlant,
        seed: int,
        *,
        on_supply: Callable[[bool, bool], None],
        on_energy: Callable[[bool], None],
        on_coils: Callable[[bool], None] = unwired,
        on_source: Callable[[float, bool], None] = unwired_line,
        air_c: float | None = 22.0,
        adapter: int = plc.ADAPTER_NONE,
    ) -> None:
        self._port, self._plant, self._on_supply = port, plant, on_supply
        self._loop = asyncio.get_running_loop()
        self._start_s = self._tick_s = self._loop.time()
        self.meter, self._thermometer = Voltmeter(plant, seed), Thermometer(air_c, seed)
        self.adapter = adapter
        self.energy = EnergyOutputs(plant, self._start_s, on_energy, on_coils, on_source)
        self._supply = Relays(0, port.settle, self._supply_switched)
        self._hvil = Relays(plc.HVIL_BRIDGED, port.settle, self._hvil_switched)
        self._phase, self._outputs = Phase.SAFE, _OUTPUTS[Phase.SAFE]
        self._timer: asyncio.TimerHandle | None = None
        self.cut_s: float | None = None
        """When the outputs were last cut."""
        self._inputs = plc.GUARD_CLOSED | plc.ESTOP_RELEASED
        self._cause = TripCause.NONE
        self._coils_wanted = False
        self._token, self._used_tokens = 0, set[int]()
        self._refusal = Refusal.NONE
        self._request_alive: int | None = None
        self._events = 0
        self._permitted_until_s = self._answered_s = _NEVER_S
        self._draws = draw(seed, "plc.nonce")
        self._nonces: list[int] = []
        self._sequence = self._nonce = 0
        plant.bridge_hvil(self._start_s, True)
        port.listen([plc.ANSWER_ID], self._take_answer)
        port.listen([plc.REQUEST_ID], self._take_request)
        port.start(
            (
                Cyclic(plc.STATUS_ID, plc.STATUS_PERIOD_S, self._status),
                Cyclic(plc.VOLTAGES_ID, plc.VOLTAGES_PERIOD_S, self._voltages),
                Cyclic(plc.SENSE_ID, plc.SENSE_PERIOD_S, self._sense),
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
        self._settle()
        now_s = self._loop.time()
        if self._phase in _ARMED:
            due_s = self._answered_s + DEAD_MAN_S
            if due_s <= now_s + plc.CHALLENGE_PERIOD_S:
                self._loop.call_at(due_s, self._settle)
            if self._phase is Phase.PERMITTED and now_s > self._permitted_until_s:
                self._port.settle()
                self._begin_safe_stop()
                self._publish()
            elif self._sequence % COMPARED_EVERY == 0 and self.meter.apart(self._sample(now_s), now_s):
                self._port.settle()
                self._trip(TripCause.VOLTMETER, now_s)
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
        """Let a dead-man that has run out trip, before anything that came too late is looked at."""
        due_s = self._answered_s + DEAD_MAN_S
        if self._phase in _ARMED and self._loop.time() >= due_s:
            self._port.settle()
            self._trip(TripCause.WATCHDOG, due_s)

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
        self._supply.drive(request.kl30 * plc.KL30 | request.kl15 * plc.KL15)
        self._hvil.drive(request.hvil * plc.HVIL_BRIDGED)
        if request.permit:
            self._permit(request.token, request.coils)
        else:
            self._drop_permit()
        self._token = request.token
        self._publish()

    def _only_less(self, request: plc.Request) -> plc.Request:
        """A repeated telegram may remove energy, never add any."""
        return request._replace(
            permit=request.permit and self._phase is Phase.PERMITTED,
            kl30=request.kl30 and bool(self._supply.flags & plc.KL30),
            kl15=request.kl15 and bool(self._supply.flags & plc.KL15),
            coils=request.coils and self._coils_wanted,
            hvil=request.hvil and bool(self._hvil.wanted),
        )

    def _supply_switched(self, flags: int) -> None:
        self._on_supply(bool(flags & plc.KL30), bool(flags & plc.KL15))
        self._publish()

    def _hvil_switched(self, flags: int) -> None:
        self._plant.bridge_hvil(self._loop.time(), bool(flags))
        self._publish()

    def _permit(self, token: int, coils: bool) -> None:
        if self._phase in (Phase.GRANTING, Phase.PERMITTED) and token != self._token:
            self._refusal = Refusal.STOPPING
            self._drop_permit()
        elif self._phase is Phase.SAFE:
            self._refusal = self._refusal_of(token)
            if self._refusal is Refusal.NONE:
                self._used_tokens.add(token)
                self._coils_wanted = coils
                self._enter(Phase.GRANTING, self._loop.time() + RELAY_S, self._energise)
        elif self._phase is Phase.GRANTING:
            self._coils_wanted = coils
        elif self._phase is Phase.PERMITTED:
            self._switch_coils(coils)
        else:
            self._refusal = Refusal.TRIPPED if self.tripped else Refusal.STOPPING

    def _switch_coils(self, on: bool) -> None:
        """Feed or cut the coils while high voltage stays permitted."""
        if on == self._coils_wanted:
            return
        self._coils_wanted = on
        now_s = self._loop.time()
        if on:
            self.energy.warn_of_coils(True)
            self._enter(Phase.PERMITTED, now_s + RELAY_S, self._prove_poles)
        else:
            self.energy.enable_source(now_s, False)
            self.energy.prove(now_s, False)
            self._enter(Phase.PERMITTED, now_s + REACTION_S, self._coils_switched)

    def _prove_poles(self, at_s: float) -> None:
        self.energy.prove(at_s, True)
        self._enter(Phase.PERMITTED, at_s + PROOF_S, self._poles_proved)

    def _poles_proved(self, at_s: float) -> None:
        self._port.settle()
        if not (self.energy.proving and self.meter.voltage_free(self._sample(at_s), at_s)):
            self._coils_wanted = False
            self._refusal = Refusal.POLES_LIVE
        self.energy.prove(at_s, False)
        self._coils_switched(at_s)

    def _coils_switched(self, at_s: float) -> None:
        self._port.settle()
        self.energy.feed_coils(at_s, self._coils_wanted)
        self.energy.enable_source(at_s, True)
        self._publish()

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
            self.energy.enable_source(at_s, False)
            self._enter(Phase.TRIPPING, at_s + REACTION_S, self._cut)
        elif self._phase is Phase.GRANTING:
            self._enter(Phase.SAFE)
        self._publish()

    def _enter(self, phase: Phase, until_s: float = 0.0, then: Callable[[float], None] | None = None) -> None:
        """Change the phase; `then` is called with `until_s` at that time, or at once if it is past."""
        if phase is not Phase.PERMITTED:
            self.energy.enable_source(self._loop.time(), False)
        if self._timer is not None:
            self._timer.cancel()
        self._phase, self._outputs = phase, _OUTPUTS[phase]
        self._timer = None if then is None else self._loop.call_at(until_s, then, until_s)

    def _energise(self, at_s: float) -> None:
        """The discharge relay has opened: coil supply, matrix feed and sources on."""
        self._port.settle()
        self._enter(Phase.PERMITTED)
        self._permitted_until_s = at_s + PERMIT_MAX_S
        self.energy.discharge(at_s, False)
        self.energy.feed_coils(at_s, self._coils_wanted)
        self.energy.feed_matrix(True)
        self.energy.enable_source(at_s, True)
        self._publish()

    def _cut(self, at_s: float) -> None:
        """Coil supply and matrix feed off; the discharge relay follows."""
        self._port.settle()
        self.cut_s = at_s
        self._enter(Phase.CUT, at_s + RELAY_S, self._discharge)
        self.energy.feed_coils(at_s, False)
        self.energy.feed_matrix(False)
        self._publish()

    def _discharge(self, at_s: float) -> None:
        self._port.settle()
        self._enter(Phase.SAFE, at_s + DISCHARGED_WITHIN_S, self._expect_discharged)
        self.energy.discharge(at_s, True)
        self._publish()

    def _expect_discharged(self, at_s: float) -> None:
        if not self._voltage_free(self._loop.time()):
            self._port.settle()
            self._trip(TripCause.SAFE_STOP_TIMEOUT, at_s)

    def _flags(self) -> int:
        relays = self._supply.flags | self._hvil.flags | self.energy.flags
        return self._inputs | relays | self._outputs | self.tripped * plc.TRIPPED

    @property
    def _discharging(self) -> bool:
        return bool(self._outputs & plc.DISCHARGING)

    def _voltage_free(self, t_s: float) -> bool:
        trusted = self.energy.proving and self._cause is not TripCause.VOLTMETER
        return trusted and self._discharging and self.meter.voltage_free(self._sample(t_s), t_s)

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
        read_v = self.meter.read(self._sample(t_s), t_s, 0, to_chassis=self._discharging)
        return plc.encode_voltages(plc.Voltages(*read_v, n & ALIVE_MASK))

    def _sense(self, n: int, t_s: float) -> bytes:
        return plc.encode_sense(plc.Sense(self._thermometer.read(), self.adapter, n & ALIVE_MASK))
