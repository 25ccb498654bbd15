"""Runs each coroutine test of this folder on a station in every world; a test cannot tell which one it is in."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from hil.bench import own_bench
from tests.contract.station import Station
from tests.contract.worlds import ContractWorld, InMemory, OnBench

WORLDS = [
    pytest.param("in_memory", id="sim"),
    pytest.param("on_bench", id="bench", marks=pytest.mark.bench),
    pytest.param("on_vcan", id="vcan", marks=pytest.mark.vcan),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bench: real time over the bench's own buses and pseudo-terminals")
    config.addinivalue_line("markers", "scenario(text): what is wrong with the pack or the station, as a scenario file")


@pytest.fixture(scope="session")
def in_memory() -> InMemory:
    """Wires in memory, virtual time."""
    return InMemory()


@pytest.fixture(scope="session")
def on_bench() -> Iterator[OnBench]:
    """A bench on buses of its own and pseudo-terminals, real time; one for all tests."""
    with own_bench(can="bench") as bench:
        yield OnBench(bench.layout)


@pytest.fixture(scope="session")
def on_vcan() -> Iterator[OnBench]:
    """A bench on the kernel's vcan."""
    with own_bench(can="vcan") as bench:
        yield OnBench(bench.layout)


@pytest.fixture(params=WORLDS)
def station(request: pytest.FixtureRequest) -> ContractWorld:
    """The world in which a test's station is built; the test itself is given that station."""
    world: ContractWorld = request.getfixturevalue(request.param)
    return world


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function on the loop of its world."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    marker = pyfuncitem.get_closest_marker("scenario")
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    world: ContractWorld = arguments.pop("station")

    async def contract(station: Station) -> None:
        async with station.in_use():
            await test(station=station, **arguments)

    findings = world.run(contract, scenario=marker.args[0] if marker else None)
    assert findings == []
    return True
