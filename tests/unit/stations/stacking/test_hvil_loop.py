"""The interlock loop, closed and opened at each connector."""

from __future__ import annotations

from bmsctl.domain.limits import ABOVE
from bmsctl.domain.verdict import Verdict
from bmsctl.stations.stacking.hvil_loop import hvil_loop
from tests.support.fake_devices import Outcome
from tests.support.stacking_bench import StackingBench, passed, run_step
from tests.support.stacking_far_end import FarEnd

CONNECTORS = ["hv", "signal", "service_disconnect"]


def tasks(outcome: Outcome) -> list[tuple[str, str]]:
    """What was asked of the person, and of which connector."""
    return [(name.rpartition(".")[2], args[0]) for name, *args in outcome.bench.calls if name.startswith("operator")]


def test_all_are_plugged_then_each_is_opened_and_closed_again() -> None:
    outcome = run_step(hvil_loop, "hvil_loop")
    assert passed(outcome)
    opened = [(task, connector) for connector in CONNECTORS for task in ("open", "close")]
    assert tasks(outcome) == [("close", connector) for connector in CONNECTORS] + opened
    assert outcome.value("loop_resistance") == 1.0
    assert outcome.context.measurements["opened[hv]"].bound == ABOVE
    assert not any(outcome.bench.far.opens.values())


def test_an_open_loop_fails_and_is_not_opened_further() -> None:
    outcome = run_step(hvil_loop, "hvil_loop", far=FarEnd(ohms={"loop": 1e9}))
    assert outcome.verdicts == {"loop_resistance": Verdict.FAIL}
    assert ("open", "hv") not in tasks(outcome)


def test_a_connector_that_does_not_open_the_loop_fails() -> None:
    outcome = run_step(hvil_loop, "hvil_loop", far=FarEnd(bridged={"signal"}))
    bad = [name for name, verdict in outcome.verdicts.items() if verdict is not Verdict.PASS]
    assert bad == ["opened[signal]"]


def test_a_connector_that_is_not_plugged_again_is_invalid() -> None:
    def script(bench: StackingBench) -> None:
        closed = []
        do = bench.operator._do

        async def forgetful(instruction: object) -> None:
            closed.append(instruction)
            if len(closed) != 5:
                await do(instruction)

        bench.operator._do = forgetful  # type: ignore[method-assign]

    outcome = run_step(hvil_loop, "hvil_loop", script)
    assert outcome.error is not None
    assert "not closed again after hv" in outcome.error


def test_connectors_opened_before_the_program_ended_are_not_opened_again() -> None:
    first = run_step(hvil_loop, "hvil_loop", lives=3)
    second = run_step(hvil_loop, "hvil_loop", begun=first.bench.log.events)
    assert passed(second)
    assert [connector for task, connector in tasks(second) if task == "open"] == CONNECTORS[1:]
