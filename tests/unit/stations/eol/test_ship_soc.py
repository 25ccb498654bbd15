"""Step ship_soc: how much is charged, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bmsctl.domain.verdict import Verdict
from bmsctl.errors import DeviceTimeout, ReplyInvalid
from bmsctl.stations.eol.ship_soc import ship_soc
from tests.support.fake_devices import Outcome, passed, recipe_of
from tests.support.fake_live import LiveBench, run_live


def run(script: Callable[[LiveBench], None] = lambda bench: None, **params: Any) -> tuple[LiveBench, Outcome]:
    bench, outcome = run_live(ship_soc, "ship_soc", script, **params)
    assert bench.resting()
    return bench, outcome


@pytest.mark.parametrize("soc", [22.0, 25.0, 27.5, 29.99])
def test_a_pack_is_charged_to_the_target_by_the_stations_count(soc: float) -> None:
    bench, outcome = run(lambda bench: setattr(bench.pack, "soc", soc))
    assert passed(outcome)
    assert outcome.value("soc") == pytest.approx(30.0, abs=0.1)
    assert outcome.value("soc_by_charge") == pytest.approx(30.0, abs=0.1)
    true_ah = bench.pack.count(bench.now())
    assert outcome.value("soc_by_charge") == pytest.approx(soc + 100.0 * true_ah / 157.0, abs=0.01)
    amps = recipe_of("ship_soc").quantity("current")
    assert outcome.duration_s < 10.0 + 1.05 * (30.0 - soc) / 100.0 * 157.0 / amps * 3600.0


@pytest.mark.parametrize(("soc", "verdict"), [(31.0, Verdict.PASS), (40.0, Verdict.FAIL)])
def test_a_fuller_pack_is_judged_as_it_is(soc: float, verdict: Verdict) -> None:
    bench, outcome = run(lambda bench: setattr(bench.pack, "soc", soc))
    assert set(outcome.verdicts.values()) == {verdict}
    assert bench.of("bms.set_relays") == []
    assert "cycler.arm" not in bench.names()


def test_no_more_is_charged_than_the_recipe_allows() -> None:
    bench, outcome = run(lambda bench: setattr(bench.pack, "soc", 10.0))
    assert bench.pack.count(bench.now()) == pytest.approx(16.0, abs=0.1)
    assert outcome.verdicts["soc"] is Verdict.FAIL


def test_a_bms_that_counts_wrong_fails_against_the_station() -> None:
    _, outcome = run(lambda bench: setattr(bench.bms, "gain", 2.5))
    assert outcome.verdicts["soc"] is Verdict.FAIL
    assert outcome.verdicts["soc_by_charge"] is Verdict.PASS


@pytest.mark.parametrize("share", [0.0, 0.5, -1.0])
def test_a_cycler_that_gives_less_ends_in_time(share: float) -> None:
    _, outcome = run(lambda bench: setattr(bench.cycler, "share", share))
    assert outcome.error is not None
    assert "charged in time" in outcome.error
    amps = recipe_of("ship_soc").quantity("current")
    assert outcome.duration_s < 10.0 + 1.6 * 0.05 * 157.0 / amps * 3600.0


@pytest.mark.parametrize("hangs_at_s", [0.3, 1.0, 30.0, 100.0])
def test_a_cycler_that_hangs_loses_its_enable(hangs_at_s: float) -> None:
    _, outcome = run(lambda bench: setattr(bench.cycler, "hangs_at_s", hangs_at_s))
    assert outcome.error is not None
    assert "no answer" in outcome.error
    assert outcome.verdicts == {}
    assert outcome.duration_s < max(hangs_at_s + 3.0, 36.0)


def test_a_cell_that_leaves_its_window_ends_the_charge() -> None:
    def script(bench: LiveBench) -> None:
        bench.pack.rest_v[7] = 4.15

    bench, outcome = run(script)
    assert outcome.error is not None
    assert "cell 8 at 4.2" in outcome.error
    assert bench.pack.count(bench.now()) < 0.1


def test_a_cell_that_loses_its_value_ends_the_charge() -> None:
    def script(bench: LiveBench) -> None:
        bench.pack.rest_v[7] = np.nan

    _, outcome = run(script)
    assert outcome.error is not None
    assert "cell 8 at nan" in outcome.error


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("cycler.read", ReplyInvalid("cycler", "stuck")),
        ("bms.cells", DeviceTimeout("bms", "silent")),
        ("cycler.set_current", DeviceTimeout("cycler", "no answer")),
        ("cycler.disarm", DeviceTimeout("cycler", "no answer")),
    ],
)
def test_whatever_fails_no_current_is_left(call: str, error: Exception) -> None:
    _, outcome = run(lambda bench: bench.errors.update({call: [error]}))
    assert outcome.error == str(error)
