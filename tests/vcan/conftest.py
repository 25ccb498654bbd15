"""Everything in this folder uses AF_CAN sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bmsctl.protocols.bms_broadcast import AMPR_SMALL
from tests.vcan.wire import awake_bms

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vcan)


@pytest.fixture(scope="session")
def bms() -> Iterator[None]:
    """An AmpR Small BMS, awake on vcan0, in a process of its own."""
    with awake_bms("vcan0", AMPR_SMALL.name):
        yield
