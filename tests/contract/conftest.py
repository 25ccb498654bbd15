"""Runs each coroutine test of this folder on a station in every world; a test cannot tell which one it is in."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.bench import own_bench
from tests.contract.people import AtTerminal
from tests.contract.station import AnyStation
from tests.contract.worlds import ContractWorld, InMemory, OnBench, OnLines, StackingInMemory

HERE = Path(__file__).parent

EOL_WORLDS = {"sim": "in_memory", "bench": "on_bench", "vcan": "on_vcan"}
STACKING_WORLDS = {"sim": "stacking_in_memory", "bench": "on_lines", "tcp": "on_tcp", "terminal": "at_terminal"}
"""Each station's worlds by name, with their fixtures."""
WORLDS = {"sim": (), "bench": ("bench",), "vcan": ("vcan",), "tcp": ("bench",), "terminal": ("bench",)}
"""Marks of what is run in each world."""
REAL_TIME = {"bench", "vcan"}

STALL = "stall"
"""Name of a test's property: what was stalled when it failed and was tried again; as many as there were."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scenario(text): what is wrong with the pack or the station, as a scenario file")
    config.addinivalue_line("markers", "bus_off: takes the station's controller off a bus, which no vcan can")
    config.addinivalue_line("markers", "stacking: of a device of the stacking station; in sim and on lines")
    config.addinivalue_line("markers", "worlds(*names): in these worlds only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "station" in metafunc.fixturenames:
        worlds = [
            pytest.param(world, id=world, marks=[getattr(pytest.mark, mark) for mark in marks])
            for world, marks in WORLDS.items()
        ]
        metafunc.parametrize("station", worlds, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the worlds that a contract cannot be kept in."""
    items[:] = [item for item in items if not isinstance(item, pytest.Function) or _possible(item)]


def _possible(item: pytest.Function) -> bool:
    if HERE not in item.path.parents or "station" not in item.fixturenames:
        return True
    world, named = item.callspec.params["station"], item.get_closest_marker("worlds")
    if named is not None:
        return world in named.args
    if item.get_closest_marker("stacking") is not None:
        return world in ("sim", "bench")
    return world in EOL_WORLDS and not (world == "vcan" and item.get_closest_marker("bus_off") is not None)


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


@pytest.fixture(scope="session")
def stacking_in_memory() -> StackingInMemory:
    """The stacking station: wires in memory, virtual time."""
    return StackingInMemory()


@pytest.fixture(scope="session")
def on_lines() -> Iterator[OnLines]:
    """The stacking station: pseudo-terminals, real time."""
    yield from _on_lines(frozenset())


@pytest.fixture(scope="session")
def on_tcp() -> Iterator[OnLines]:
    """The stacking station, its tightening controller behind TCP."""
    yield from _on_lines(frozenset({"nutrunner"}))


@pytest.fixture(scope="session")
def at_terminal() -> AtTerminal:
    """No station, but a terminal and who sits at it, real time."""
    return AtTerminal()


def _on_lines(over_tcp: frozenset[str]) -> Iterator[OnLines]:
    with tempfile.TemporaryDirectory(prefix="bmsctl-lines-") as folder:
        world = OnLines(Path(folder), over_tcp)
        yield world
        world.close()


@pytest.fixture
def station(request: pytest.FixtureRequest) -> ContractWorld:
    """The world in which a test's station is built; the test itself is given that station."""
    stacking = request.node.get_closest_marker("stacking") is not None
    fixture = (STACKING_WORLDS if stacking else EOL_WORLDS)[request.param]
    world: ContractWorld = request.getfixturevalue(fixture)
    return world


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function on the loop of its world."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    marker = pyfuncitem.get_closest_marker("scenario")
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    world: ContractWorld = arguments.pop("station")

    async def contract(station: AnyStation) -> None:
        async with station.in_use():
            await test(station=station, **arguments)

    def note(stall: str) -> None:
        pyfuncitem.user_properties.append((STALL, stall))

    findings = world.run(contract, scenario=marker.args[0] if marker else None, on_stall=note)
    assert findings == []
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how often a contract was tried again, none included, wherever one was kept in real time."""
    ended = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and HERE in Path(report.fspath).absolute().parents and REAL_TIME & set(report.keywords)
    ]
    stalls = [(report.nodeid, text) for report in ended for name, text in report.user_properties if name == STALL]
    if ended:
        terminalreporter.write_line(f"contracts in real time: {len(ended)}, tried again for a stall: {len(stalls)}")
    for nodeid, text in stalls:
        terminalreporter.write_line(f"  {nodeid}: {text}")
