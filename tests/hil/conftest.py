"""One bench for the tests of this folder, over the bench's own buses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.bench import Bench, bench_up


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Hub and stubs in processes of their own. The folder's name is short: a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, bench_up(Path(folder), can="bench") as up:
        yield up
