"""Runs a program of test steps on a safety tester, and reads what came of it.

The program is loaded once and read back before every start. A start is sent once. Whatever ends the conversation
early, a cancellation too, asks the tester to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from bmsctl.domain.lease import Lease
from bmsctl.domain.links import SerialLink
from bmsctl.drivers.scpi import ScpiSession
from bmsctl.errors import DeviceRefused, DeviceTimeout, ReplyInvalid
from bmsctl.protocols import safety_tester
from bmsctl.protocols.safety_tester import Judgement, Mode

ANSWER_WITHIN_S = 0.2
POLL_S = 0.2
OVERDUE_S = 1.0
"""A program that takes so much longer than its steps hangs."""

INTERVAL_S = 0.1
FALL_S = 0.3
CONTACT_CHECK_S = 0.2
STANDARD_F = 10e-9
OPEN_SHARE = 0.3
"""Of the standard capacitance: between the 1 nF of cables and matrix and the least Y capacitance of a pack's pole."""
CAPACITANCE_MAX_F = 10e-6
"""Fifty times that of a pack's poles: a slip of the prefix, which all that is measured shares, lies beyond."""

ALIKE = 2
"""Two tests do not agree in every digit of voltage, current and resistance."""

_ENDED_EARLY = frozenset({Judgement.STOP, Judgement.USER_STOP, Judgement.CAN_NOT_TEST, Judgement.TESTING})


class Step(NamedTuple):
    """One step of a program: its mode, and the value of each item, in the order they are set."""

    mode: Mode
    items: Mapping[str, str]


class StepResult(NamedTuple):
    """What a step answered: its judgement, and digits of the output (V), of what was measured, of ramp and test (s)."""

    judgement: Judgement
    output: str
    measured: str
    ramp: str
    test: str


CONTACT = Step(
    Mode.OSC,
    {
        safety_tester.OSC_STANDARD: f"{STANDARD_F:g}",
        safety_tester.OSC_OPEN: f"{OPEN_SHARE:g}",
        safety_tester.OSC_SHORT: "0",
    },
)
"""Passes when what is connected has the capacitance of a pole; an open lead has none."""


class SafetyTester:
    """One tester on its serial line. `judge_ramp`: whether current that is too high ends a test while it rises."""

    def __init__(self, serial: SerialLink, device: str, *, judge_ramp: bool) -> None:
        self.session = ScpiSession(serial, device)
        self._device = device
        self._presets = {safety_tester.INTERVAL: f"{INTERVAL_S:g}", safety_tester.JUDGE_RAMP: str(int(judge_ramp))}
        self._loaded: dict[str, str] = {}

    async def identify(self, lease: Lease) -> str:
        """Maker, model, serial number and firmware; what was loaded before no longer counts."""
        self._loaded = {}
        return await self.session.begin(lease)

    async def run(self, lease: Lease, program: Sequence[Step], duration_s: float) -> list[StepResult]:
        """Load what is not loaded, read all back, start, wait for the end, and read the results.

        Raises:
            DeviceRefused: a setting or the start, as when the enable is missing or a foreign voltage is present.
            DeviceTimeout, ReplyInvalid: no good answer, or it neither ran nor ended as it should; it is stopped.
            DeviceRestarted: settings and results are lost.
        """
        with self._off_in_doubt():
            await self._load(lease, program)
            await self._verify(lease, program)
            await self.session.act(lease, safety_tester.START, ANSWER_WITHIN_S)
            await self._finish(lease, duration_s)
            return await self._results(lease, program)

    def off(self) -> None:
        """Ask the tester to stop and discharge."""
        self.session.write(safety_tester.STOP)

    def require(self, result: StepResult, allowed: AbstractSet[Judgement], what: str) -> None:
        """See that a step ended in one of these ways.

        Raises:
            DeviceRefused: it was stopped.
            ReplyInvalid: it ended otherwise.
        """
        if result.judgement in _ENDED_EARLY - allowed:
            raise DeviceRefused(self._device, f"{what} was not finished; check enable and emergency stop")
        if result.judgement not in allowed:
            raise ReplyInvalid(self._device, f"{what} ended with {result.judgement.name}")

    def require_contact(self, result: StepResult, when: str) -> None:
        """See that a contact check has passed, by its judgement and by the capacitance it measured.

        Raises:
            DeviceRefused: it was stopped.
            ReplyInvalid: no contact.
        """
        passed = frozenset({Judgement.PASS, Judgement.OSC_OPEN})
        self.require(result, passed, f"the contact check {when} the test")
        farad = self.session.number(result.measured, 0.0, CAPACITANCE_MAX_F, "capacitance")
        if result.judgement is Judgement.OSC_OPEN or farad < OPEN_SHARE * STANDARD_F:
            raise ReplyInvalid(self._device, f"no contact {when} the test: {farad:.2g} F; check leads and route")

    @contextlib.contextmanager
    def _off_in_doubt(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.off()
            self._loaded = {}
            raise

    async def _load(self, lease: Lease, program: Sequence[Step]) -> None:
        """Set what the tester does not hold already, from an empty program if nothing is known of it."""
        if not self._loaded:
            await self._clear(lease)
        wanted = self._presets | {
            safety_tester.step(number, item): value
            for number, step in enumerate(program, 1)
            for item, value in step.items.items()
        }
        for header, value in wanted.items():
            if self._loaded.get(header) != value:
                await self.session.act(lease, f"{header} {value}", ANSWER_WITHIN_S)
        self._loaded = wanted

    async def _clear(self, lease: Lease) -> None:
        (text,) = await self.session.query(lease, safety_tester.STEPS, ANSWER_WITHIN_S)
        for number in range(int(self.session.number(text, 0, 99, "number of steps")), 0, -1):
            await self.session.act(lease, safety_tester.delete(number), ANSWER_WITHIN_S)

    async def _verify(self, lease: Lease, program: Sequence[Step]) -> None:
        """See that the tester holds exactly this program."""
        query = safety_tester.STEPS
        (count,) = await self.session.measure(lease, query, query, self._presets, ANSWER_WITHIN_S)
        self.session.number(count, len(program), len(program), "number of steps")
        for number, step in enumerate(program, 1):
            query = safety_tester.mode_of(number)
            items = {safety_tester.step(number, item): value for item, value in step.items.items()}
            (mode,) = await self.session.measure(lease, query, query, items, ANSWER_WITHIN_S)
            if mode != step.mode:
                raise ReplyInvalid(self._device, f"step {number} is {mode} instead of {step.mode}")

    async def _finish(self, lease: Lease, duration_s: float) -> None:
        """Wait until the program that was just started has ended. It must be seen running: results may be old."""
        loop = asyncio.get_running_loop()
        overdue_s = loop.time() + duration_s + OVERDUE_S
        running = await self._running(lease)
        if not running:
            raise ReplyInvalid(self._device, "does not run although it accepted the start; check its enable")
        while running:
            if loop.time() > overdue_s:
                raise DeviceTimeout(self._device, f"still runs {OVERDUE_S:g} s after the end of its program")
            lease.quiet_for(POLL_S)
            await asyncio.sleep(POLL_S)
            running = await self._running(lease)

    async def _running(self, lease: Lease) -> bool:
        (said,) = await self.session.query(lease, safety_tester.STATUS, ANSWER_WITHIN_S)
        if said not in (safety_tester.RUNNING, safety_tester.STOPPED):
            raise ReplyInvalid(self._device, f"status {said!r}")
        return said == safety_tester.RUNNING

    async def _results(self, lease: Lease, program: Sequence[Step]) -> list[StepResult]:
        modes = await self._list(lease, safety_tester.MODES, len(program))
        if modes != tuple(step.mode for step in program):
            raise ReplyInvalid(self._device, f"ran {','.join(modes)}, which is another program")
        codes = await self._list(lease, safety_tester.JUDGEMENTS, len(program))
        queries = (safety_tester.OUTPUTS, safety_tester.MEASURED, safety_tester.RAMP_TIMES, safety_tester.TEST_TIMES)
        columns = [await self._list(lease, query, len(program)) for query in queries]
        try:
            judgements = [safety_tester.decode_judgement(code) for code in codes]
        except ValueError as error:
            raise ReplyInvalid(self._device, str(error)) from None
        return [StepResult(*row) for row in zip(judgements, *columns, strict=True)]

    async def _list(self, lease: Lease, query: str, count: int) -> tuple[str, ...]:
        (text,) = await self.session.measure(lease, query, query, {}, ANSWER_WITHIN_S)
        try:
            return safety_tester.decode_list(text, count)
        except ValueError as error:
            raise ReplyInvalid(self._device, f"{query}: {error}") from None
