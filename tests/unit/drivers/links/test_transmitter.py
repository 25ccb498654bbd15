"""The last check before a telegram leaves, taken apart from any port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.drivers.links.transmitter import Transmitter
from bmsctl.errors import TxFull
from tests.unit.drivers.links.waiting import PATIENCE_S

GRANTED_S, REOPENED_S = 1.0, 2.0


class Port:
    """Takes every telegram; `last` is set by the telegram b"last"."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.last = threading.Event()

    def take(self, telegram: bytes) -> bool:
        self.sent.append(telegram)
        if telegram == b"last":
            self.last.set()
        return True


@contextmanager
def running(transmitter: Transmitter[bytes]) -> Iterator[None]:
    thread = threading.Thread(target=transmitter.run)
    thread.start()
    try:
        yield
    finally:
        transmitter.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_port_that_is_gone_costs_the_telegrams_under_a_lease_and_keeps_the_others() -> None:
    port = Port()
    transmitter = Transmitter("cycler", port.take, 10)
    lease = LeaseBook(lambda: GRANTED_S).grant("cycler", 1.0)
    transmitter.put(b"on", lease)
    transmitter.put(b"off", None)
    transmitter.hold()
    assert transmitter.revoked == 1
    with running(transmitter):
        assert port.sent == []
        transmitter.release(since_s=0.0)
        transmitter.put(b"last", None)
        assert port.last.wait(PATIENCE_S)
    assert port.sent == [b"off", b"last"]


def test_a_telegram_queued_while_the_port_was_gone_does_not_leave_under_a_lease_from_before() -> None:
    port = Port()
    transmitter = Transmitter("cycler", port.take, 10)
    lease = LeaseBook(lambda: GRANTED_S).grant("cycler", 1.0)
    transmitter.hold()
    transmitter.put(b"on", lease)
    transmitter.put(b"last", None)
    transmitter.release(since_s=REOPENED_S)
    assert not transmitter.covers(lease)
    with running(transmitter):
        assert port.last.wait(PATIENCE_S)
    assert port.sent == [b"last"]
    assert transmitter.revoked == 1


def test_nothing_queued_leaves_after_close() -> None:
    port = Port()
    transmitter = Transmitter("cycler", port.take, 1)
    transmitter.put(b"on", None)
    with pytest.raises(TxFull):
        transmitter.put(b"more", None)
    transmitter.close()
    transmitter.run()
    assert port.sent == []
