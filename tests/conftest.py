"""Lets asserts in the support modules show their values."""

import pytest

pytest.register_assert_rewrite("tests.support")
