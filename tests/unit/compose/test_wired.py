"""A wired world on the real loop: signals only post, nothing is left open, and nothing that hangs keeps the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose import wired
from bmsctl.compose.hardware import NoMes, NoScreen
from bmsctl.compose.station_file import KINDS, CanPort, SerialPort, StationFile
from bmsctl.compose.wired import ENDING, WiredSite, WiredWorld, open_site
from bmsctl.domain.links import LinkState
from bmsctl.domain.world import Site
from bmsctl.drivers.links.clock import SystemClock
from bmsctl.errors import LinkDown, Refused

EMPTY = StationFile("eol-7", "eol", (), {}, "demo")


def site_of(station: StationFile, tokens: Path) -> WiredSite:
    return WiredSite(station, SystemClock(), {}, {}, operator=NoScreen(), mes=NoMes(), seed_key=bytes, tokens=tokens)


@pytest.fixture
def world(tmp_path: Path) -> WiredWorld:
    return WiredWorld("test", True, lambda: contextlib.nullcontext(site_of(EMPTY, tmp_path / "tokens")))


def test_main_runs_on_the_site_and_its_result_comes_back(world: WiredWorld) -> None:
    async def main(site: Site) -> str:
        await asyncio.sleep(0)
        return site.name

    assert world.run(main) == "eol-7"
    assert (world.findings(), world.interrupted) == ([], False)


def test_what_main_raises_comes_back(world: WiredWorld) -> None:
    async def main(site: Site) -> None:
        raise Refused("not today")

    with pytest.raises(Refused, match="not today"):
        world.run(main)


def test_a_hundred_signals_only_post(world: WiredWorld) -> None:
    before = {number: signal.getsignal(number) for number in ENDING}
    posted: list[str] = []

    async def main(site: Site) -> int:
        all_posted = asyncio.Event()

        def post(name: str) -> None:
            posted.append(name)
            if len(posted) == 100:
                all_posted.set()

        site.on_interrupt(post)
        for count in range(100):
            os.kill(os.getpid(), ENDING[count % len(ENDING)])
        await all_posted.wait()
        return len(posted)

    assert world.run(main) == 100
    assert set(posted) == {"SIGINT", "SIGTERM", "SIGHUP"}
    assert world.interrupted
    assert {number: signal.getsignal(number) for number in ENDING} == before


def test_a_signal_while_the_site_is_being_opened_interrupts_at_once(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in ENDING}

    @contextlib.contextmanager
    def slow_to_open() -> Iterator[WiredSite]:
        for number in ENDING:
            os.kill(os.getpid(), number)
        pytest.fail("went on opening")
        yield site_of(EMPTY, tmp_path / "tokens")

    async def main(site: Site) -> None:
        pytest.fail("was run")

    world = WiredWorld("test", True, slow_to_open)
    with pytest.raises(KeyboardInterrupt):
        world.run(main)
    assert world.interrupted
    assert {number: signal.getsignal(number) for number in ENDING} == before


def test_where_nobody_listens_a_signal_cancels_main_once(world: WiredWorld) -> None:
    ends: list[str] = []

    async def main(site: Site) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.01)
            ends.append("made safe")

    with pytest.raises(KeyboardInterrupt):
        world.run(main)
    assert ends == ["made safe"]


def test_who_listens_is_told_even_of_a_signal_just_before(world: WiredWorld) -> None:
    posted: list[str] = []

    async def main(site: Site) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        site.on_interrupt(posted.append)
        await asyncio.sleep(0)

    world.run(main)
    assert posted == ["SIGTERM"]


def test_in_a_thread_signals_are_somebody_elses(world: WiredWorld) -> None:
    async def main(site: Site) -> str:
        return site.name

    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(world.run(main)))
    thread.start()
    thread.join()
    assert results == ["eol-7"]


def test_an_error_in_a_callback_is_a_finding(world: WiredWorld) -> None:
    async def main(site: Site) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    world.run(main)
    assert len(world.findings()) == 1
    assert "ZeroDivisionError" in world.findings()[0]


def test_a_task_that_swallows_its_cancellation_does_not_keep_the_process(
    world: WiredWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wired, "LEAVE_WITHIN_S", 0.05)
    kept: list[Any] = []

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()

    async def main(site: Site) -> str:
        kept.append(asyncio.get_running_loop().create_task(stubborn()))
        await asyncio.sleep(0)
        return "safe"

    assert world.run(main) == "safe"
    assert len(world.findings()) == 1
    assert "stubborn" in world.findings()[0]
    kept[0]._log_destroy_pending = False


def test_record_ids_and_run_tokens_are_new_each_time(tmp_path: Path) -> None:
    site = site_of(EMPTY, tmp_path / "tokens")
    assert len({site.record_id("AS52000000001", "eol", "1") for _ in range(10)}) == 10
    assert len({site.run_token("the same record") for _ in range(10)}) == 10


class Ptys:
    """A pseudo terminal in place of every serial device."""

    def __init__(self) -> None:
        self._files = [os.openpty() for _ in KINDS["eol"].serial]
        self.ports = {
            device: SerialPort(device, os.ttyname(slave), 115200, None)
            for device, (_, slave) in zip(KINDS["eol"].serial, self._files, strict=True)
        }

    def close(self) -> None:
        for pair in self._files:
            for file in pair:
                os.close(file)


@pytest.fixture
def ptys() -> Iterator[Ptys]:
    ptys = Ptys()
    yield ptys
    ptys.close()


BUSES = (CanPort("pack", "virtual://pack", ("bms",)), CanPort("station", "virtual://station", ("plc", "matrix")))


def opened(station: StationFile, tokens: Path) -> Any:
    return open_site(station, operator=NoScreen(), mes=NoMes(), seed_key=bytes, tokens=tokens)


def test_every_port_of_the_station_file_is_opened_and_closed(ptys: Ptys, tmp_path: Path) -> None:
    threads = threading.active_count()
    station = StationFile("eol-7", "eol", BUSES, ptys.ports, "demo")

    async def main(site: Site) -> list[Any]:
        assert site.can("plc") is site.can("matrix")
        assert site.can("bms") is not site.can("plc")
        links = [site.can("bms"), site.can("plc"), *(site.serial(device) for device in KINDS["eol"].serial)]
        assert {link.health().state for link in links} == {LinkState.UP}
        return links

    links = WiredWorld("test", True, lambda: opened(station, tmp_path / "tokens")).run(main)
    assert len(links) == 2 + len(KINDS["eol"].serial)
    assert threading.active_count() == threads


def test_a_port_that_is_not_there_closes_the_others(ptys: Ptys, tmp_path: Path) -> None:
    threads = threading.active_count()
    missing = CanPort("third", "socketcan://nowhere7", ("third",))
    station = StationFile("eol-7", "eol", (*BUSES, missing), ptys.ports, "demo")

    async def main(site: Site) -> None:
        pytest.fail("a station without all its ports was run")

    with pytest.raises(LinkDown):
        WiredWorld("test", True, lambda: opened(station, tmp_path / "tokens")).run(main)
    assert threading.active_count() == threads
