"""Which signatures count: two people, two roles, two meanings, the recipe as it is, keys that were good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bmsctl.domain.approval import Approval, Meaning, Signature, meaning_of_next, weigh
from bmsctl.domain.people import Person, Role, SigningKey
from bmsctl.errors import Refused
from tests.support.simulate import RECIPE

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def somebody(name: str, role: Role) -> Person:
    return Person(name, name.title(), role, "hash", keys=(SigningKey(name, role, NOW - timedelta(days=1)),))


EVA, MAX, QUENTIN = somebody("eva", Role.ENGINEER), somebody("max", Role.ENGINEER), somebody("quentin", Role.QUALITY)
OPERATOR = somebody("ole", Role.OPERATOR)
PEOPLE = (EVA, MAX, QUENTIN, OPERATOR)


def verify(public_key: str, signature: str, message: bytes) -> bool:
    """A signature is genuine that repeats key and message."""
    return signature == f"{public_key} {message!r}"


def signed(by: Person, meaning: Meaning, **changed: object) -> Signature:
    key = by.keys[0].public
    unsigned = Signature(RECIPE.id, RECIPE.revision, RECIPE.sha256, by.id, by.name, by.role, meaning, NOW, key)
    unsigned = replace(unsigned, **changed)  # type: ignore[arg-type]
    return replace(unsigned, signature=f"{unsigned.public_key} {unsigned.statement()!r}")


AUTHOR, APPROVER = signed(EVA, Meaning.AUTHOR), signed(QUENTIN, Meaning.APPROVER)


def weighed(*signatures: Signature, people: tuple[Person, ...] = PEOPLE) -> Approval:
    return weigh(RECIPE, signatures, people, verify)


def test_two_of_different_roles_approve() -> None:
    assert weighed(AUTHOR, APPROVER) == Approval((AUTHOR, APPROVER), ())
    assert weighed(AUTHOR, APPROVER).missing == ()
    swapped = (signed(QUENTIN, Meaning.AUTHOR), signed(EVA, Meaning.APPROVER))
    assert weighed(*swapped).missing == ()


def test_what_is_missing_is_said() -> None:
    assert weighed().missing == ("an engineer's signature", "a signature of quality")
    assert weighed(AUTHOR).missing == ("a signature of quality",)
    assert weighed(signed(QUENTIN, Meaning.AUTHOR)).missing == ("an engineer's signature",)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (signed(EVA, Meaning.APPROVER), "the same person has signed before"),
        (signed(MAX, Meaning.APPROVER), "Eva has signed as engineer before"),
        (signed(QUENTIN, Meaning.AUTHOR), "Eva has signed as author before"),
        (replace(APPROVER, sha256="0" * 64), "the recipe was changed since"),
        (replace(APPROVER, revision="2"), "is for AS52 revision 2"),
        (replace(APPROVER, signature=AUTHOR.signature), "it is not genuine"),
        (replace(APPROVER, name="Somebody Else"), "it is not genuine"),
        (replace(APPROVER, meaning=Meaning.AUTHOR), "it is not genuine"),
        (replace(APPROVER, at=NOW - timedelta(hours=1)), "it is not genuine"),
        (signed(EVA, Meaning.APPROVER, role=Role.QUALITY), "its key was registered for engineer"),
        (signed(QUENTIN, Meaning.APPROVER, person="nobody"), "the people file does not know its key"),
        (signed(QUENTIN, Meaning.APPROVER, public_key="eva"), "the people file does not know its key"),
        (signed(OPERATOR, Meaning.APPROVER), "operator signs no recipes"),
        (signed(QUENTIN, Meaning.APPROVER, at=NOW - timedelta(days=2)), "its key was not valid then"),
    ],
)
def test_what_does_not_count(second: Signature, why: str) -> None:
    approval = weighed(AUTHOR, second)
    assert approval.counting == (AUTHOR,)
    assert approval.missing == ("a signature of quality",)
    assert len(approval.dismissed) == 1
    assert why in approval.dismissed[0]


def test_who_leaves_takes_no_approval_along_but_a_revoked_key_does() -> None:
    (key,) = QUENTIN.keys
    left = replace(QUENTIN, removed=NOW, keys=(replace(key, until=NOW + timedelta(seconds=1)),))
    assert weighed(AUTHOR, APPROVER, people=(EVA, left)).missing == ()
    later = signed(QUENTIN, Meaning.APPROVER, at=NOW + timedelta(seconds=1))
    assert weighed(AUTHOR, later, people=(EVA, left)).missing != ()
    revoked = replace(QUENTIN, keys=(replace(key, until=key.since),))
    assert weighed(AUTHOR, APPROVER, people=(EVA, revoked)).missing == ("a signature of quality",)


def test_a_signature_under_an_earlier_state_does_not_keep_its_person_from_signing_again() -> None:
    earlier = signed(EVA, Meaning.AUTHOR, sha256="0" * 64)
    approval = weighed(earlier, AUTHOR)
    assert approval.counting == (AUTHOR,)
    assert meaning_of_next(weighed(earlier), RECIPE, EVA) is Meaning.AUTHOR


def test_the_meaning_of_the_next_is_the_one_that_is_missing() -> None:
    assert meaning_of_next(weighed(), RECIPE, QUENTIN) is Meaning.AUTHOR
    assert meaning_of_next(weighed(AUTHOR), RECIPE, QUENTIN) is Meaning.APPROVER
    assert meaning_of_next(weighed(APPROVER), RECIPE, EVA) is Meaning.AUTHOR


@pytest.mark.parametrize(
    ("there", "person", "why"),
    [
        ((AUTHOR,), EVA, "Eva has signed AS52 revision 1 as author; the other must be somebody else"),
        ((AUTHOR,), MAX, "Eva has signed AS52 revision 1 as engineer; the other must be quality"),
        ((AUTHOR, APPROVER), MAX, r"approved by Eva \(engineer\) and Quentin \(quality\) already"),
    ],
)
def test_a_second_signature_of_the_same_is_refused(there: tuple[Signature, ...], person: Person, why: str) -> None:
    with pytest.raises(Refused, match=why):
        meaning_of_next(weighed(*there), RECIPE, person)
