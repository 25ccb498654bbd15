"""What a person's hands change when an instruction has been followed, by its task and part and not by its words."""

from __future__ import annotations

from collections.abc import Callable

from bmsctl.domain.parts import COVER, HARNESS, bolt_of, kind_of, number_of
from bmsctl.domain.ports import Instruction, ManualTask
from bmsctl.protocols.part_label import encode_label
from firmware_stubs.assembly.build import PackUnderConstruction
from firmware_stubs.assembly.leaks import Volumes
from firmware_stubs.assembly.module import Module
from firmware_stubs.assembly.probes import Frame, Probes


class Hands:
    """Call it with an instruction when its task is done. `label`: content of the label before the scanner."""

    def __init__(
        self,
        build: PackUnderConstruction,
        probes: Probes,
        volumes: Volumes,
        *,
        label: str,
        printed: Callable[[], str | None],
        pull: Callable[[str], None],
    ) -> None:
        """`label`: the tray's; `printed`: what the printer put out last; `pull`: the trigger, the tool on a bolt."""
        self._build, self._probes, self._volumes = build, probes, volumes
        self._printed, self._pull = printed, pull
        self._brought: dict[int, Module] = {}
        self.label: str | None = label
        self._tasks: dict[ManualTask, Callable[[Instruction], None]] = {
            ManualTask.LOAD: self._load,
            ManualTask.FETCH: self._fetch,
            ManualTask.PROBE: self._probe,
            ManualTask.PLACE: self._place,
            ManualTask.TIGHTEN: lambda asked: self._pull(bolt_of(asked.part)),
            ManualTask.LOOSEN: self._loosen,
            ManualTask.REMOVE: lambda asked: self._build.remove(asked.part),
            ManualTask.CONNECT: self._connect,
            ManualTask.OPEN: lambda asked: self._build.mate(asked.part, on=False),
            ManualTask.CLOSE: lambda asked: self._build.mate(asked.part, on=True),
            ManualTask.APPLY: self._apply,
        }

    def __call__(self, instruction: Instruction) -> None:
        task = self._tasks.get(instruction.task)
        if task is not None:
            task(instruction)

    def _load(self, asked: Instruction) -> None:
        self._build.tray = True

    def _fetch(self, asked: Instruction) -> None:
        """The module that is asked for, from its place in the store to the test table."""
        module = self._build.lot.find(asked.detail)
        self._probes.table = module
        self._probes.lay_frame(Frame.OFF)
        self.label = None if module is None else encode_label(module.label)
        if module is not None:
            self._brought[number_of(asked.part)] = module

    def _probe(self, asked: Instruction) -> None:
        if asked.part in self._build.drawing.joints:
            self._probes.put_tips(asked.part)
        else:
            self._probes.lay_frame(Frame.TABLE if kind_of(asked.part) == "module" else Frame.STACK)

    def _place(self, asked: Instruction) -> None:
        if kind_of(asked.part) == "module":
            self._place_module(number_of(asked.part), asked.detail)
        elif kind_of(asked.part) == "busbar":
            self._build.lay(number_of(asked.part))
        elif asked.part == COVER:
            self._build.cover = True

    def _place_module(self, slot: int, detail: str) -> None:
        """The module that the instruction names, else the one that was brought for the slot, with the frame on it."""
        named = self._build.lot.find(detail.partition(",")[0])
        module = named or self._brought.get(slot) or self._build.lot.own[slot - 1]
        if self._probes.table is module:
            self._probes.table = None
        self._build.put_in(slot, module)
        self._probes.lay_frame(Frame.SLOT, slot)
        self.label = encode_label(module.label)

    def _loosen(self, asked: Instruction) -> None:
        self._build.loosen(bolt_of(asked.part))

    def _connect(self, asked: Instruction) -> None:
        """The sense harness, or the leak tester's hose to one of the pack's ports."""
        if asked.part == HARNESS:
            self._build.connect(on=True)
        for port in (self._build.drawing.coolant, self._build.drawing.housing):
            if port is not None and port.name == asked.part:
                self._volumes.couple(port)

    def _apply(self, asked: Instruction) -> None:
        self.label = self._printed()
