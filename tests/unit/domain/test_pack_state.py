"""The fold of a pack: what is in it, what it forgets with a part that is taken out, and what is still pending."""

from __future__ import annotations

from bmsctl.domain.events import (
    ActionDone,
    ActionIntended,
    ActionUnknown,
    IncomingMeasured,
    ModuleAccepted,
    PartInstalled,
    PartRemoved,
    Tightened,
)
from bmsctl.domain.pack_state import PackState

INTENT = ActionIntended("bolt m2.1 #1", "nutrunner", "tighten with parameter set 3", "bolt m2.1", 7)
MODULE = PartInstalled("module 2", "295M", "M2", "L1")
BOLT = PartInstalled("bolt m1.1", "295X", None, None)
AGE = IncomingMeasured("module 2", "age", "s", (1.0,))


def tightened(number: int) -> Tightened:
    return Tightened("m1.1", number, 3, True, 25.0, 90.0, "2026-01-01:00:00:00")


def test_what_was_intended_is_pending_until_it_is_done_or_given_up() -> None:
    assert PackState.of([INTENT]).pending == INTENT
    done = PackState.of([INTENT, ActionDone(INTENT.action_id, "tightening 8, OK")])
    assert (done.pending, done.done) == (None, {INTENT.action_id})
    given_up = PackState.of([INTENT, ActionUnknown(INTENT.action_id, "forgotten")])
    assert (given_up.pending, given_up.done) == (None, set())


def test_tries_of_a_bolt_are_counted_until_the_part_that_it_holds_is_out() -> None:
    once = [INTENT, PartRemoved("bolt m2.1", None, "low")]
    assert PackState.of(once).tries == {"bolt m2.1": 1}
    assert PackState.of([*once, PartRemoved("module 2", "M2", "replaced")]).tries == {}
    assert PackState.of([*once, PartRemoved("module 1", "M1", "replaced")]).tries == {"bolt m2.1": 1}


def test_a_part_that_was_taken_out_is_in_the_history_only() -> None:
    gone = PartRemoved("module 2", "M2", "scratched")
    accepted = ModuleAccepted("module 2", "295M", "M2", "L1", 1.0, (3.6,), 3.6, 0.001, 25.0)
    pack = PackState.of([accepted, MODULE, AGE, gone])
    assert pack.parts == pack.accepted == {}
    (part,) = pack.history
    assert (part.installed, part.incoming, part.removed) == (MODULE, [AGE], gone)


def test_tightenings_are_those_of_the_bolt_that_is_in() -> None:
    pack = PackState.of([BOLT, tightened(5), PartRemoved("bolt m1.1", None, "low"), BOLT, tightened(6)])
    assert pack.tightenings("m1.1") == [tightened(6)]
    assert [part.tightenings for part in pack.history] == [[tightened(5)], [tightened(6)]]
    assert pack.tightenings("m1.2") == []


def test_what_is_told_of_a_part_that_is_not_in_is_told_of_none() -> None:
    pack = PackState.of([AGE, tightened(5), MODULE, BOLT])
    assert [part.told for part in pack.history] == [[], []]
