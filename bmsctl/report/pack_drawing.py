"""The drawing of a stacked pack: every module, bolt and joint in its place, its result told by colour and by sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from bmsctl.domain.parts import COVER, TRAY, bolt_slot, busbar_slot, held_by, number_of
from bmsctl.domain.quantities import quantity
from bmsctl.domain.recipe import STACKING, Parameter, Recipe
from bmsctl.report.families import base_and_part
from bmsctl.report.genealogy import bolt_number, tightening_text
from bmsctl.report.pack_layout import FLANGE, WIDTH, Busbar, Layout, Module, Point, layout
from bmsctl.report.part_results import GRAVITY, PackResults
from bmsctl.report.svg import Canvas

MARK, MARK_BAD, BADGE = 6.5, 9.0, 12.0
"""Half the size of a mark that is good or not done, of one that is not good, and of a module's."""
RENEWED = 3.5
LEGEND = 44.0
NARROW = 130.0
"""A module that is less wide has its text turned."""
GLYPH = 0.62
"""Width of a letter, as a share of its height."""
SERIAL_SIZE = 13.0
SIGNS = {
    "PASS": ((-0.5, 0.02), (-0.14, 0.42), (0.52, -0.4)),
    "FAIL": ((-0.42, -0.42), (0.42, 0.42), (0.0, 0.0), (-0.42, 0.42), (0.42, -0.42)),
}
"""A tick and a cross, in shares of half a mark's size."""
NOT_DONE = "not done"


def pack_drawing(record: Mapping[str, Any], recipe: Recipe) -> str:
    """An SVG element; empty if the recipe stacks no modules.

    Args:
        record: of station stacking.
        recipe: the one it was judged by.
    """
    plan = _Plan(recipe)
    return _Drawing(plan, PackResults(record, recipe)).render(record) if plan.modules else ""


class _Plan:
    """What a recipe says of a pack's parts, each kind in the order of its numbers."""

    def __init__(self, recipe: Recipe) -> None:
        self._params = {step.run: step.params for step in recipe.steps(STACKING)}
        self.modules = self._slots("place", "slots")
        self.busbars = self._slots("busbars", "busbars")
        self.joints = self._names("joints", "joints")
        self.bolts: dict[str, list[str]] = {}
        for bolt in (
            *self._names("bolts", "bolts"),
            *self._names("busbars", "bolts"),
            *self._names("cover_bolts", "bolts"),
        ):
            self.bolts.setdefault(held_by(bolt), []).append(bolt)
        for bolts in self.bolts.values():
            bolts.sort(key=bolt_number)

    def layout(self) -> Layout:
        """Where all of it is."""
        counts = [len(self.bolts.get(slot, ())) for slot in self.modules]
        return layout(list(self.modules.values()), counts, len(self.bolts.get(COVER, ())))

    def _slots(self, run: str, name: str) -> dict[str, str]:
        table = self._parameter(run, name)
        return {slot: table[slot] for slot in sorted(table, key=number_of)} if isinstance(table, Mapping) else {}

    def _names(self, run: str, name: str) -> tuple[str, ...]:
        names = self._parameter(run, name)
        return names if isinstance(names, tuple) else ()

    def _parameter(self, run: str, name: str) -> Parameter | None:
        return self._params.get(run, {}).get(name)


class _Drawing:
    """A pack's drawing in the making; what is drawn later lies above."""

    def __init__(self, plan: _Plan, results: PackResults) -> None:
        self._plan, self._results, self._layout = plan, results, plan.layout()
        self._canvas = Canvas("pack", "Pack drawing", WIDTH, self._layout.height + LEGEND)

    def render(self, record: Mapping[str, Any]) -> str:
        """The SVG element as text."""
        self._tray(record["pack_serial"])
        for (slot, way), busbar in zip(self._numbered_busbars(), self._layout.busbars, strict=True):
            self._busbar(slot, way, busbar)
        for (slot, orientation), module in zip(self._plan.modules.items(), self._layout.modules, strict=True):
            self._module(slot, orientation, module)
        for number, busbar in enumerate(self._layout.busbars, 1):
            self._ends(number, busbar)
        for bolt, place in zip(self._plan.bolts.get(COVER, ()), self._layout.cover_bolts, strict=True):
            self._mark("bolt", place, [bolt])
        self._legend()
        return self._canvas.render()

    def _numbered_busbars(self) -> list[tuple[str, str]]:
        slots = [busbar_slot(number) for number in range(1, len(self._layout.busbars) + 1)]
        return [(slot, self._plan.busbars.get(slot, "")) for slot in slots]

    def _tray(self, serial: str | None) -> None:
        result, cover, height = self._results.of(TRAY), self._results.installed(COVER), self._layout.height
        told = [f"{TRAY} {serial or ''}: {result.verdict or NOT_DONE}", *_values(result.measurements)]
        group = self._canvas.group(f"tray {result.verdict or 'none'}", "\n".join(told))
        self._canvas.add("rect", "shape", group, x=2.0, y=2.0, width=WIDTH - 4.0, height=height - 4.0, rx=14.0)
        group = self._canvas.group(f"cover {'in' if cover else 'none'}", f"cover: {'on' if cover else NOT_DONE}")
        inside = {"x": FLANGE, "y": FLANGE, "width": WIDTH - 2.0 * FLANGE, "height": height - 2.0 * FLANGE}
        self._canvas.add("rect", "shape", group, rx=6.0, **inside)
        for name, place in self._layout.layers:
            text = self._canvas.text("layer", *place, name, "middle")
            if self._layout.upright:
                text.set("transform", f"rotate(-90 {place.x:.1f} {place.y:.1f})")

    def _busbar(self, slot: str, way: str, busbar: Busbar) -> None:
        part = self._results.installed(slot)
        told = f"{slot}: {part['part_number'] if part else NOT_DONE}" + (f"\n{way}" if way else "")
        group = self._canvas.group(f"busbar {'in' if part else 'none'}", "\n".join([told, *self._before(slot)]))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in busbar.course)
        self._canvas.add("polyline", "copper", group, points=points)

    def _ends(self, number: int, busbar: Busbar) -> None:
        """Bolts and joints at both ends, and what is at the second end if it is no module."""
        bolts = self._plan.bolts.get(busbar_slot(number), [])
        half = (len(bolts) + 1) // 2
        for place, there in zip(busbar.bolts, (bolts[:half], bolts[half:]), strict=True):
            self._mark("bolt", place, there)
        for place, joint in zip(busbar.joints, self._plan.joints[2 * number - 2 : 2 * number], strict=False):
            self._mark("joint", place, [joint])
        if number >= len(self._plan.modules):
            end, before = busbar.course[-1], busbar.course[0]
            self._canvas.text("contactor", end.x, end.y + (25.0 if end.y > before.y else -15.0), "contactor", "middle")

    def _module(self, slot: str, orientation: str, module: Module) -> None:
        part, result = self._results.installed(slot), self._results.of(slot)
        told = [f"{slot}: {result.verdict or NOT_DONE}", orientation]
        told += [f"serial {part['serial']}, lot {part['lot']}"] if part else []
        group = self._canvas.group(
            f"module {result.verdict or 'none'}", "\n".join([*told, *_values(result.measurements), *self._before(slot)])
        )
        for (x1, y1), (x2, y2) in (module.minus, module.plus):
            self._canvas.add("line", "pole", group, x1=x1, y1=y1, x2=x2, y2=y2)
        x, y, width, height = module.box
        self._canvas.add("rect", "shape", group, x=x, y=y, width=width, height=height, rx=5.0)
        for pole, sign in ((module.minus, "−"), (module.plus, "+")):
            self._canvas.text("polarity", pole.sign.x, pole.sign.y + 6.0, sign, "middle", group)
        self._name(group, slot, part["serial"] or "" if part else "", module, result.verdict)
        for bolt, place in zip(self._plan.bolts.get(slot, ()), module.bolts, strict=True):
            self._mark("bolt", place, [bolt])

    def _name(self, group: ElementTree.Element, slot: str, serial: str, module: Module, verdict: str | None) -> None:
        """The module's mark, slot and serial: below each other if it is upright, else in a line."""
        x, y, width, height = module.box
        middle = Point(x + width / 2.0, y + height / 2.0)
        if not self._layout.upright:
            self._sign(group, "badge", Point(x + 66.0, middle.y), BADGE, verdict)
            self._canvas.text("slot", x + 88.0, middle.y + 5.0, slot, "start", group)
            self._serial(group, Point(x + width - 58.0, middle.y + 5.0), serial, width - 230.0, "end")
        elif width >= NARROW:
            self._sign(group, "badge", Point(middle.x, middle.y - 34.0), BADGE, verdict)
            self._canvas.text("slot", middle.x, middle.y + 6.0, slot, "middle", group)
            self._serial(group, Point(middle.x, middle.y + 28.0), serial, width - 52.0, "middle")
        else:
            self._sign(group, "badge", Point(middle.x, middle.y - 66.0), BADGE, verdict)
            turned = f"rotate(-90 {middle.x:.1f} {middle.y:.1f})"
            self._canvas.text("slot", middle.x - 14.0, middle.y - 2.0, slot, "middle", group).set("transform", turned)
            place = Point(middle.x - 14.0, middle.y + 18.0)
            self._serial(group, place, serial, height - 120.0, "middle").set("transform", turned)

    def _serial(
        self, group: ElementTree.Element, place: Point, serial: str, room: float, anchor: str
    ) -> ElementTree.Element:
        """As large as there is room for."""
        text = self._canvas.text("serial", *place, serial, anchor, group)
        size = min(SERIAL_SIZE, room / (GLYPH * max(len(serial), 1)))
        text.set("style", f"font-size:{size:.1f}px")
        return text

    def _before(self, slot: str) -> list[str]:
        """What was in a slot before, and why it was taken out."""
        told = []
        for part in self._results.removed(slot):
            tightenings = [f"tightening {tightening_text(each)}" for each in part["tightenings"]]
            what = ", ".join(filter(None, (part["serial"], *tightenings))) or part["part_number"]
            told.append(f"before it {what}; taken out: {part['removed_reason']}")
        return told

    def _mark(self, kind: str, place: Point, parts: Sequence[str]) -> None:
        """The mark of a bolt or joint; where there are several parts at one place, the gravest result's."""
        if not parts:
            return
        verdicts = [self._results.of(part).verdict for part in parts]
        verdict = min(verdicts, key=GRAVITY.index)
        told = [line for part in parts for line in self._told(kind, part)]
        group = self._canvas.group(f"{kind} {verdict or 'none'}", "\n".join(told))
        slots = [bolt_slot(part) for part in parts] if kind == "bolt" else []
        if any(self._results.installed(slot) and self._results.removed(slot) for slot in slots):
            self._canvas.add("circle", "renewed", group, cx=place.x, cy=place.y, r=_size(verdict) + RENEWED)
        self._sign(group, kind, place, _size(verdict), verdict)

    def _told(self, kind: str, part: str) -> list[str]:
        result, slot = self._results.of(part), bolt_slot(part)
        told = [f"{kind} {part}: {result.verdict or NOT_DONE}", *_values(result.measurements)]
        installed = self._results.installed(slot) if kind == "bolt" else None
        if installed is not None:
            told += [f"tightening {tightening_text(each)}" for each in installed["tightenings"]]
        return told + (self._before(slot) if kind == "bolt" else [])

    def _sign(self, group: ElementTree.Element, kind: str, place: Point, size: float, verdict: str | None) -> None:
        """The shape of a kind with the sign of a verdict: tick, cross, question mark, or hollow."""
        x, y = place
        if kind == "joint":
            self._canvas.add(
                "rect", "shape", group, x=x - size, y=y - size, width=2.0 * size, height=2.0 * size, rx=1.5
            )
        else:
            self._canvas.add("circle", "shape", group, cx=x, cy=y, r=size)
        if verdict == "INVALID":
            sign = self._canvas.text("sign", x, y + 0.62 * size, "?", "middle", group)
            sign.set("style", f"font-size:{1.7 * size:.1f}px")
        elif verdict in SIGNS:
            points = " ".join(f"{x + dx * size:.1f},{y + dy * size:.1f}" for dx, dy in SIGNS[verdict])
            self._canvas.add("polyline", "sign", group, points=points)

    def _legend(self) -> None:
        x, y = 20.0, self._layout.height + LEGEND - 16.0
        for verdict in ("PASS", "FAIL", "INVALID", None):
            group = self._canvas.add("g", f"key {verdict or 'none'}")
            for kind, right in (("bolt", 0.0), ("joint", 22.0)):
                self._sign(group, kind, Point(x + right, y), _size(verdict), verdict)
            self._canvas.text("legend", x + 38.0, y + 4.5, verdict or NOT_DONE, "start")
            x += 130.0
        group = self._canvas.add("g", "key PASS")
        self._canvas.add("circle", "renewed", group, cx=x, cy=y, r=MARK + RENEWED)
        self._sign(group, "bolt", Point(x, y), MARK, "PASS")
        self._canvas.text("legend", x + 18.0, y + 4.5, "not the first bolt there", "start")
        self._canvas.text("legend", WIDTH - 10.0, y + 4.5, "round: bolt, square: joint; not to scale", "end")


def _size(verdict: str | None) -> float:
    return MARK_BAD if verdict in ("FAIL", "INVALID") else MARK


def _values(measurements: Iterable[Mapping[str, Any]]) -> list[str]:
    """Each measurement in a line, with its verdict and the reason if it did not pass."""
    told = []
    for each in measurements:
        value = "no value" if each["value"] is None else quantity(each["value"], each["unit"])
        name = base_and_part(each["name"])[0].replace("_", " ")
        why = "" if each["verdict"] == "PASS" else f", {each['verdict']}: {each['reason']}"
        told.append(f"{name} {value}{why}")
    return told
