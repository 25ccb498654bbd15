"""What a step gives back, and when."""

from __future__ import annotations

import asyncio

import pytest

from bmsctl.errors import DeviceRestarted, DeviceTimeout, LeaseRevoked, ReplyInvalid, StepInvalid, StoreError
from bmsctl.stations.undo import undone
from firmware_stubs.sim.loop import run


def ended_by(error: BaseException | None, undo_error: Exception | None = None) -> tuple[BaseException | None, int]:
    """What comes out of a block that ends so, and how often it was undone."""
    undos: list[int] = []

    async def undo() -> None:
        undos.append(1)
        if undo_error is not None:
            raise undo_error

    async def main() -> BaseException | None:
        try:
            async with undone(undo):
                if error is not None:
                    raise error
        except BaseException as caught:
            return caught
        return None

    return run(main(), 1.0), len(undos)


def test_at_the_end_of_the_block() -> None:
    assert ended_by(None) == (None, 1)


@pytest.mark.parametrize("error", [DeviceTimeout("x", "no answer"), StepInvalid("unmet"), ValueError("a bug")])
def test_after_an_error(error: Exception) -> None:
    assert ended_by(error) == (error, 1)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), LeaseRevoked("ended"), StoreError("disk full")])
def test_not_when_the_run_is_being_ended(error: BaseException) -> None:
    assert ended_by(error) == (error, 0)


def test_an_error_while_undoing_is_told() -> None:
    later = ReplyInvalid("x", "damaged")
    assert ended_by(None, later) == (later, 1)


@pytest.mark.parametrize("first", [DeviceRestarted("y", "has restarted"), StepInvalid("unmet")])
@pytest.mark.parametrize("left", [DeviceTimeout("plc", "not proved"), StepInvalid("not proved")])
def test_what_is_not_given_back_is_told_before_the_error_and_begins_no_step_anew(
    first: Exception, left: Exception
) -> None:
    error, undos = ended_by(first, left)
    assert isinstance(error, StepInvalid)
    assert (str(error), error.__cause__, undos) == (f"{left}; before that: {first}", first, 1)


def test_a_bug_is_told_as_it_is_with_what_is_not_given_back() -> None:
    bug = ValueError("a bug")
    assert ended_by(bug, DeviceTimeout("plc", "not proved")) == (bug, 1)
    assert bug.__notes__ == ["plc: not proved"]
