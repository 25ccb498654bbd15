"""Incoming data of a module, as the record has it."""

from __future__ import annotations

import pytest

from bmsctl.domain.events import IncomingMeasured
from bmsctl.domain.incoming import incoming_of


def test_what_came_with_the_module_is_told_first_then_what_was_measured() -> None:
    assert incoming_of("module 2", 60.0, [3.6, 3.7], voltage=7.3, temperature=21.0) == [
        IncomingMeasured("module 2", "age", "s", (60.0,)),
        IncomingMeasured("module 2", "cell_voltage", "V", (3.6, 3.7)),
        IncomingMeasured("module 2", "voltage", "V", (7.3,)),
        IncomingMeasured("module 2", "temperature", "degC", (21.0,)),
    ]


def test_a_value_that_no_unit_is_known_for_is_refused() -> None:
    with pytest.raises(KeyError, match="humidity"):
        incoming_of("module 2", 60.0, [3.6], humidity=0.4)
