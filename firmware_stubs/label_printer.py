"""Firmware of the label printer: takes formats, prints them one after another, counts them, and stops for people."""

from __future__ import annotations

import asyncio
import re
from collections import deque

from bmsctl.protocols import zpl
from bmsctl.protocols.zpl import HostStatus, Label, Trouble
from firmware_stubs.noise import draw
from firmware_stubs.ports import SerialPort

ANSWER_S = 0.020
LABEL_S = 0.9
COUNT_BEFORE = (1_000, 100_000)
BUFFER_MAX = 8192

_FORMAT_BEGIN, _FORMAT_END = b"^XA", b"^XZ"
_CONTROL = re.compile(re.escape(zpl.STATUS) + b"|" + re.escape(zpl.CANCEL_ALL) + b"|" + re.escape(zpl.LABEL_COUNT))


class LabelPrinterStub:
    """One printer on a serial line; build it inside a running loop.

    `printed`: every label, None for one without data matrix. `count`: its odometer.
    """

    def __init__(self, port: SerialPort, seed: int) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._formats: deque[bytes] = deque()
        self._printing: asyncio.TimerHandle | None = None
        self._trouble = Trouble(0)
        self.count = int(draw(seed, "label_printer.count").integers(*COUNT_BEFORE))
        self.printed: list[Label | None] = []
        port.listen(self._take)

    @property
    def trouble(self) -> Trouble:
        """What keeps it from printing; a label that it interrupts is printed anew afterwards."""
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        self._trouble = trouble
        if trouble and self._printing is not None:
            self._printing.cancel()
            self._printing = None
        self._go_on()

    def restart(self) -> None:
        """Its supply failed and came back: what it had received is gone, its counter is not."""
        self._buffer = b""
        self._cancel_all()

    def _take(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[-BUFFER_MAX:]
        # A control command is obeyed wherever it stands, in the middle of a format too.
        while (found := _CONTROL.search(self._buffer)) is not None:
            self._take_formats(found.start())
            self._buffer = self._buffer.replace(found[0], b"", 1)
            self._obey(found[0])
        self._take_formats(len(self._buffer))

    def _take_formats(self, end: int) -> None:
        """Take the formats that are whole before `end`."""
        while (stop := self._buffer.find(_FORMAT_END, 0, end)) >= 0:
            start = self._buffer.find(_FORMAT_BEGIN, 0, stop)
            stop += len(_FORMAT_END)
            if start >= 0:
                self._formats.append(self._buffer[start:stop])
            self._buffer = self._buffer[stop:]
            end -= stop
        self._go_on()

    def _obey(self, command: bytes) -> None:
        if command == zpl.STATUS:
            self._port.emit(zpl.encode_status(self._status()), ANSWER_S)
        elif command == zpl.LABEL_COUNT:
            self._port.emit(zpl.encode_count(self.count), ANSWER_S)
        else:
            self._cancel_all()

    def _cancel_all(self) -> None:
        self._formats.clear()
        if self._printing is not None:
            self._printing.cancel()
            self._printing = None

    def _status(self) -> HostStatus:
        printing = self._printing is not None
        partial = _FORMAT_BEGIN in self._buffer
        return HostStatus(self._trouble, len(self._formats) - printing, partial, int(printing))

    def _go_on(self) -> None:
        if self._formats and self._printing is None and not self._trouble:
            self._printing = self._loop.call_later(LABEL_S, self._finish)

    def _finish(self) -> None:
        self._printing = None
        self.printed.append(zpl.decode_label(self._formats.popleft()))
        self.count += 1
        self._go_on()
