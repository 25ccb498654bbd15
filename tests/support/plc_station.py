"""A station that talks to the safety PLC in raw frames, so that a test can say anything to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import plc
from firmware_stubs.plc import PlcStub
from firmware_stubs.sim.loop import new_loop
from firmware_stubs.sim.wire import CAN_FRAME_S, SimCan
from tests.support.fake_plant import FakePlant

TOKEN = 0x1267
ADAPTER = 52


class PlcStation:
    """A station of raw frames: answers each challenge through `reply`, remembers every StatusChanged."""

    def __init__(self, plant: FakePlant | None = None, seed: int = 1) -> None:
        self.loop = asyncio.get_running_loop()
        self.plant = plant or FakePlant()
        self.bus = SimCan("plc")
        self.port = self.bus.ecu("plc")
        self.supply: list[tuple[bool, bool]] = []
        self.stub = PlcStub(
            self.port,
            self.plant,
            seed,
            on_supply=lambda kl30, kl15: self.supply.append((kl30, kl15)),
            on_energy=lambda on: self.note("feed", on),
            on_coils=lambda on: self.note("coils told", on),
            on_source=lambda t_s, on: self.note("source", on),
            adapter=ADAPTER,
        )
        self.token = 0
        self.alive = 0
        self.answered_s = 0.0
        self.reply: Callable[[plc.Question], plc.Reply | None] = self.right
        self.changes: list[plc.Status] = []
        self.questions: list[plc.Question] = []
        self.bus.station.latch([plc.STATUS_ID, plc.VOLTAGES_ID, plc.SENSE_ID])
        self.bus.station.push([plc.CHALLENGE_ID], self._challenged)
        self.bus.station.push([plc.STATUS_CHANGED_ID], self._changed)

    def right(self, question: plc.Question) -> plc.Reply:
        return plc.Reply(question.sequence, plc.response(question.nonce, self.token))

    def note(self, what: str, on: bool) -> None:
        """Put an output of the PLC into the plant's log."""
        self.plant.log.append((round(self.loop.time(), 6), what, on))

    def request(
        self,
        permit: bool,
        *,
        kl30: bool = False,
        kl15: bool = False,
        coils: bool = True,
        hvil: bool = True,
        alive: int | None = None,
    ) -> None:
        self.alive = (self.alive + 1) % 16 if alive is None else alive
        request = plc.Request(permit, kl30, kl15, coils, hvil, self.token, self.alive)
        self.bus.station.send(CanFrame(plc.REQUEST_ID, plc.encode_request(request)))

    async def permitted(self) -> None:
        await asyncio.sleep(0.06)
        self.token = TOKEN
        self.request(permit=True)
        await asyncio.sleep(0.1)
        assert self.status().flags & plc.PERMISSIVE

    def status(self) -> plc.Status:
        frame = self.bus.station.newest(plc.STATUS_ID)
        assert frame is not None
        status = plc.decode_status(frame.data)
        assert status is not None
        return status

    def voltages(self) -> plc.Voltages:
        frame = self.bus.station.newest(plc.VOLTAGES_ID)
        assert frame is not None
        voltages = plc.decode_voltages(frame.data)
        assert voltages is not None
        return voltages

    def sense(self) -> plc.Sense:
        frame = self.bus.station.newest(plc.SENSE_ID)
        assert frame is not None
        sense = plc.decode_sense(frame.data)
        assert sense is not None
        return sense

    def _challenged(self, frame: CanFrame) -> None:
        question = plc.decode_challenge(frame.data)
        assert question is not None
        self.questions.append(question)
        reply = self.reply(question)
        if reply is not None:
            self.answered_s = self.loop.time() + CAN_FRAME_S
            self.bus.station.send(CanFrame(plc.ANSWER_ID, plc.encode_answer(reply)))

    def _changed(self, frame: CanFrame) -> None:
        status = plc.decode_status(frame.data, plc.STATUS_CHANGED_ID)
        assert status is not None
        self.changes.append(status)


def switched(log: list[tuple[float, str, bool]], from_s: float) -> list[tuple[str, bool, float]]:
    """The log with times since `from_s`, to the microsecond."""
    return [(what, on, round(t_s - from_s, 5)) for t_s, what, on in log]


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an async test in virtual time; an error in any callback fails it."""

    def run() -> None:
        loop = new_loop()
        loop.run_until(test(), 60.0)
        assert loop.errors == []

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
