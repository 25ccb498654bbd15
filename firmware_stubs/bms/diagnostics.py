"""The BMS's diagnostic port: ISO-TP to and from its UDS server, with the time a real one takes."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from bmsctl.domain.links import CanFrame
from bmsctl.protocols import uds
from bmsctl.protocols.isotp import IsoTp
from bmsctl.protocols.uds import Nrc, Sid
from firmware_stubs.bms.uds import Reply, UdsServer
from firmware_stubs.ports import CanPort

P2_S = (0.005, 0.020)
SENT_S = 0.005
"""An answer has left the transmitter for certain."""

_TESTER_PRESENT = bytes((Sid.TESTER_PRESENT, uds.SUPPRESS))


class Diagnostics:
    """One request at a time; what arrives meanwhile is lost, as on a small ECU."""

    def __init__(self, port: CanPort, server: UdsServer, latencies: np.random.Generator) -> None:
        self._port = port
        self._server = server
        self._latencies = latencies
        self._loop = asyncio.get_running_loop()
        self._isotp = IsoTp(self._loop, self._emit, partial(self._request, False), self._lost)
        self._awake = False
        self._wake = 0
        self._busy = False
        port.listen([uds.REQUEST_ID], self._physical)
        port.listen([uds.FUNCTIONAL_ID], self._functional)

    def wake(self) -> None:
        """Listen from now on."""
        self._awake = True
        self._wake += 1
        self._busy = False
        self._isotp.reset()

    def sleep(self) -> None:
        """Neither listen nor answer, and forget what was under way."""
        self._awake = False
        self._wake += 1
        self._isotp.reset()
        self._server.fall_back()

    def _emit(self, data: bytes) -> None:
        self._port.emit(CanFrame(uds.ANSWER_ID, data, extended=True))

    def _physical(self, frame: CanFrame) -> None:
        if self._awake:
            self._isotp.frame(frame.data)

    def _functional(self, frame: CanFrame) -> None:
        """Functional requests are single frames."""
        data = frame.data
        if not self._awake or not data or not 0 < data[0] < min(8, len(data)):
            return
        request = data[1 : 1 + data[0]]
        if request == _TESTER_PRESENT:
            self._server.answer(request, functional=True)
        else:
            self._request(True, request)

    def _request(self, functional: bool, request: bytes) -> None:
        if not self._busy:
            self._busy = True
            delay_s = float(self._latencies.uniform(*P2_S))
            self._loop.call_later(delay_s, self._respond, self._wake, request, functional)

    def _respond(self, wake: int, request: bytes, functional: bool) -> None:
        if wake != self._wake:
            return
        reply = self._server.answer(request, functional=functional)
        if reply is not None and reply.later is not None:
            if reply.pending:
                self._isotp.transmit(uds.negative(request[0], Nrc.RESPONSE_PENDING))
            self._loop.call_at(reply.at_s, self._respond_later, wake, reply)
            return
        self._busy = False
        if reply is None:
            return
        if reply.data:
            self._isotp.transmit(reply.data)
        if reply.then is not None:
            self._loop.call_later(SENT_S, self._act, wake, reply)

    def _respond_later(self, wake: int, reply: Reply) -> None:
        if wake == self._wake and reply.later is not None:
            self._busy = False
            self._isotp.transmit(reply.later())

    def _act(self, wake: int, reply: Reply) -> None:
        if wake == self._wake and reply.then is not None:
            reply.then()

    def _lost(self, fault: Exception) -> None:
        """A message that got lost on the way is the tester's to repeat."""
