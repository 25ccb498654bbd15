"""What doctor says of Python, packages and text."""

from __future__ import annotations

import pytest

from bmsctl.compose import doctor_software
from bmsctl.compose.check import State


@pytest.mark.parametrize(
    ("version", "state"), [((3, 11, 0), State.GOOD), ((3, 10, 9), State.BAD), ((4, 0, 0), State.GOOD)]
)
def test_python_is_new_enough_or_not(version: tuple[int, ...], state: State) -> None:
    assert doctor_software.python(version, ">=3.11").state is state


def test_what_this_environment_has_is_good() -> None:
    checks = {check.name: check for check in doctor_software.checks()}
    assert list(checks) == ["python", "packages", "text"]
    assert checks["packages"].state is State.GOOD


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("nosuchpackage>=1", "nosuchpackage is not installed"),
        ("numpy>=999.1", "999.1 is needed"),
    ],
)
def test_a_package_that_is_missing_or_old_is_named(requirement: str, said: str) -> None:
    check = doctor_software.packages(["click>=8", requirement])
    assert check.state is State.BAD
    assert said in check.seen
    assert "make setup" in check.remedy


def test_extras_are_not_needed() -> None:
    check = doctor_software.packages(["click>=8", 'nosuchpackage>=1; extra == "bench"'])
    assert (check.state, check.seen) == (State.GOOD, "all 1 installed")


def test_other_text_than_utf_8_is_a_warning() -> None:
    assert doctor_software.text("utf-8", "UTF-8").state is State.GOOD
    check = doctor_software.text("utf-8", "ANSI_X3.4-1968")
    assert (check.state, check.seen) == (State.WARN, "file names in utf-8, text in ANSI_X3.4-1968")
