"""A station that talks to the safety PLC in raw frames, so that a test can say anything to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import plc
from firmware_stubs.plc import PlcStub
from firmware_stubs.sim.wire import CAN_FRAME_S, SimCan
from tests.support.fake_plant import FakePlant

TOKEN = 0x1267


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
            on_energy=lambda on: self.plant.log.append((round(self.loop.time(), 6), "feed", on)),
        )
        self.token = 0
        self.alive = 0
        self.answered_s = 0.0
        self.reply: Callable[[plc.Question], plc.Reply | None] = self.right
        self.changes: list[plc.Status] = []
        self.questions: list[plc.Question] = []
        self.bus.station.latch([plc.STATUS_ID, plc.VOLTAGES_ID])
        self.bus.station.push([plc.CHALLENGE_ID], self._challenged)
        self.bus.station.push([plc.STATUS_CHANGED_ID], self._changed)

    def right(self, question: plc.Question) -> plc.Reply:
        return plc.Reply(question.sequence, plc.response(question.nonce, self.token))

    def request(self, permit: bool, *, kl30: bool = False, kl15: bool = False, alive: int | None = None) -> None:
        self.alive = (self.alive + 1) % 16 if alive is None else alive
        request = plc.Request(permit, kl30, kl15, self.token, self.alive)
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
