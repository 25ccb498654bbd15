"""Firmware of the label scanner: a code reader that is triggered, and now and then reads nothing or reads twice."""

from __future__ import annotations

import asyncio

from bmsctl.protocols import dmcc
from bmsctl.protocols.dmcc import Answer, Status
from firmware_stubs.noise import draw
from firmware_stubs.ports import SerialPort

COMMAND_S = 0.004
READ_S = (0.080, 0.300)
NO_READ_SHARE = 0.003
DOUBLE_SHARE = 0.0005


class ScannerStub:
    """One reader on a serial line; build it inside a running loop. `label`: what is in front of it, if anything."""

    def __init__(self, port: SerialPort, label: str | None, seed: int) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._durations = draw(seed, "scanner.duration")
        self._no_reads = draw(seed, "scanner.no_read")
        self._doubles = draw(seed, "scanner.double")
        self._telegrams = dmcc.Telegrams()
        self._reading: asyncio.TimerHandle | None = None
        self.label = label
        port.listen(self._take)

    def restart(self) -> None:
        """Its supply failed and came back: a read under way is gone."""
        self._telegrams = dmcc.Telegrams()
        self._end_read()

    def _take(self, data: bytes) -> None:
        damaged = self._telegrams.damaged
        for telegram in self._telegrams.feed(data):
            command = dmcc.decode_command(telegram)
            if command is None:
                self._emit(Answer(0, Status.COMMAND_INVALID))
            else:
                self._emit(Answer(command.id, self._obey(command.text)))
        if self._telegrams.damaged != damaged:
            self._emit(Answer(0, Status.CHECKSUM_INCORRECT))

    def _obey(self, text: str) -> Status:
        if text == dmcc.TRIGGER_OFF:
            self._end_read()
        elif text == dmcc.TRIGGER_ON:
            self._end_read()
            self._reading = self._loop.call_later(float(self._durations.uniform(*READ_S)), self._read)
        else:
            return Status.COMMAND_INVALID
        return Status.OK

    def _end_read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _read(self) -> None:
        self._reading = None
        unread = float(self._no_reads.uniform()) < NO_READ_SHARE
        twice = float(self._doubles.uniform()) < DOUBLE_SHARE
        result = Answer(0, Status.READ, "" if unread or self.label is None else self.label)
        self._emit(result)
        if twice and result.content:
            self._emit(result)

    def _emit(self, answer: Answer) -> None:
        self._port.emit(dmcc.encode_answer(answer), COMMAND_S)
