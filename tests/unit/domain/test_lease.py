"""The right to command: granted once, revoked at once, and fresh only as long as its device is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bmsctl.domain.lease import LeaseBook
from bmsctl.errors import LeaseRevoked

FRESH_S = 1.0


@dataclass
class Clock:
    """Loop time as a test sets it."""

    t_s: float = 100.0

    def __call__(self) -> float:
        return self.t_s


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def book(now: Clock) -> LeaseBook:
    return LeaseBook(now)


def test_a_device_has_one_living_lease(book: LeaseBook) -> None:
    first = book.grant("bms", FRESH_S)
    book.grant("plc", FRESH_S)
    with pytest.raises(LeaseRevoked, match="bms: already leased"):
        book.grant("bms", FRESH_S)
    book.release(first)
    with pytest.raises(LeaseRevoked, match="the run has ended"):
        first.check()
    second = book.grant("bms", FRESH_S)
    book.release(first)
    second.check()
    with pytest.raises(LeaseRevoked):
        book.grant("bms", FRESH_S)


def test_all_leases_are_revoked_at_once(book: LeaseBook) -> None:
    leases = [book.grant(device, FRESH_S) for device in ("bms", "plc")]
    book.revoke_all()
    for lease in leases:
        with pytest.raises(LeaseRevoked, match=lease.device):
            lease.check()
        book.grant(lease.device, FRESH_S).check()


def test_it_is_fresh_for_a_while_after_its_grant_and_after_each_datum(book: LeaseBook, now: Clock) -> None:
    lease = book.grant("bms", FRESH_S)
    assert lease.granted_s == 100.0
    now.t_s = 101.0
    assert lease.fresh
    now.t_s = 101.1
    assert not lease.fresh
    lease.touch()
    now.t_s = 102.1
    assert lease.fresh
    now.t_s = 102.2
    assert not lease.fresh


def test_a_declared_quiet_lasts_until_its_end_and_as_long_again_as_any_device_is_given(
    book: LeaseBook, now: Clock
) -> None:
    lease = book.grant("bms", FRESH_S)
    lease.quiet_for(8.0)
    lease.quiet_for(2.0)
    now.t_s = 109.0
    assert lease.fresh
    now.t_s = 109.1
    assert not lease.fresh


def test_a_device_that_speaks_ends_its_quiet(book: LeaseBook, now: Clock) -> None:
    lease = book.grant("bms", FRESH_S)
    lease.quiet_for(8.0)
    now.t_s = 101.3
    lease.touch()
    assert lease.fresh_until_s == pytest.approx(102.3)
    lease.quiet_for(8.0)
    assert lease.fresh_until_s == pytest.approx(110.3)
