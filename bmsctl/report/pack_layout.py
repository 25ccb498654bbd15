"""Where the parts of a pack are drawn: a scheme, for a recipe tells how modules follow each other, not their measures.

Modules follow each other in series order along lines, there and back again, so that each busbar leads to a
neighbour. Poles to the front or rear make rows of upright modules, poles to the left or right columns of lying ones;
a layer that the recipe names has a line of its own. Lengths are those of the drawing, x to the right, y down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

WIDTH = 1000.0
FLANGE = 36.0
"""Width of the rim that the cover is bolted to."""
LANE = 34.0
"""Width of the lane at each short edge of the modules, in the middle of which busbars are bolted to them."""
PAD = 12.0
POLE = 0.25
"""From a module's middle to a pole, as a share of its depth along the line."""
JOINT = 20.0
"""From a busbar's bolt to the joint that it presses together, along the bar."""
CONTACTOR = 52.0
"""From the first and the last module to the main contactor."""
TURN = 22.0
"""From the end of the lines to the busbar that leads from one to the next."""
BOLT_INSET, CORNER, SIGN_INSET = 11.0, 38.0, 15.0
LINES_MAX = 4
ONE_COLUMN_MAX = 4

SIDE = re.compile(r"\b(rear|left|front|right)\b")
BEFORE = ("rear", "left")
"""Sides towards the drawing's origin."""


class Point(NamedTuple):
    """A place in the drawing."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle by its corner towards the origin."""

    x: float
    y: float
    width: float
    height: float


class Pole(NamedTuple):
    """A module's pole: where its sign is written, and where a busbar is bolted to it, in the lane."""

    sign: Point
    end: Point


class Module(NamedTuple):
    """A module's place, and those of its bolts in the order of their numbers."""

    box: Box
    minus: Pole
    plus: Pole
    bolts: Sequence[Point]


class Busbar(NamedTuple):
    """A busbar's course, and what is at its two ends."""

    course: Sequence[Point]
    bolts: tuple[Point, Point]
    joints: tuple[Point, Point]


@dataclass(frozen=True)
class Layout:
    """A pack's drawing: modules and busbars in the order of their numbers, cover bolts in that of theirs.

    `upright`: lines are rows, else columns; `layers`: their names, and where to write them.
    """

    height: float
    upright: bool
    modules: Sequence[Module]
    busbars: Sequence[Busbar]
    layers: Sequence[tuple[str, Point]]
    cover_bolts: Sequence[Point]


@dataclass(frozen=True)
class _Frame:
    """How lines are drawn: u runs along them, v across, both from the origin.

    `length` of a module is across its line, `depth` along it; `foot` is the room after the last of a full line.
    """

    upright: bool
    lines: int
    places: int
    foot: float
    depth: float
    gap: float
    length: float
    u0: float
    v0: float

    @classmethod
    def of(cls, upright: bool, lines: int, places: int) -> _Frame:
        """The frame of `lines` lines of at most `places` modules; the pack ends at the foot if their number is odd."""
        inner = WIDTH - 2.0 * (FLANGE + PAD)
        ends_below = lines % 2 == 1
        if upright:
            head, gap = 86.0, 40.0
            foot = head if ends_below else 2.0 * TURN
            depth = min((inner - head - foot + gap) / places - gap, 190.0)
            used = places * (depth + gap) - gap
            u0 = FLANGE + PAD + head + (inner - head - foot - used) / 2.0
            return cls(upright, lines, places, foot, depth, gap, 230.0, u0, FLANGE + PAD)
        head = 70.0
        foot = head if ends_below else 2.0 * TURN
        length = min(inner / lines - 2.0 * LANE, 560.0)
        v0 = (WIDTH - lines * (length + 2.0 * LANE)) / 2.0
        return cls(upright, lines, places, foot, 60.0, 32.0, length, FLANGE + PAD + head, v0)

    @property
    def pitch(self) -> float:
        return self.depth + self.gap

    @property
    def u_end(self) -> float:
        """Where the last module of a full line ends."""
        return self.u0 + self.places * self.pitch - self.gap

    @property
    def height(self) -> float:
        if self.upright:
            return 2.0 * (FLANGE + PAD) + self.lines * (self.length + 2.0 * LANE)
        return self.u_end + self.foot + PAD + FLANGE

    def point(self, u: float, v: float) -> Point:
        return Point(u, v) if self.upright else Point(v, u)

    def edge(self, line: int) -> float:
        """v of the modules' edge towards the origin."""
        return self.v0 + line * (self.length + 2.0 * LANE) + LANE


@dataclass(frozen=True)
class _Place:
    """A module by its line and its place in it; `ahead` 1.0 or -1.0 as the line leads away from the origin or back."""

    frame: _Frame
    line: int
    index: int
    before: bool
    """Whether the poles are on the side towards the origin."""

    @property
    def ahead(self) -> float:
        return 1.0 if self.line % 2 == 0 else -1.0

    @property
    def u(self) -> float:
        """Of its middle."""
        index = self.index if self.ahead > 0.0 else self.frame.places - 1 - self.index
        return self.frame.u0 + index * self.frame.pitch + self.frame.depth / 2.0

    @property
    def lane(self) -> float:
        """v of its poles."""
        edge = self.frame.edge(self.line)
        return edge - LANE / 2.0 if self.before else edge + self.frame.length + LANE / 2.0

    def pole(self, way: float) -> float:
        """u of its plus (`way` 1.0) or minus pole (-1.0)."""
        return self.u + way * self.ahead * POLE * self.frame.depth

    def module(self, bolts: int) -> Module:
        frame, edge = self.frame, self.frame.edge(self.line)
        corner = frame.point(self.u - frame.depth / 2.0, edge)
        size = frame.point(frame.depth, frame.length)
        sign = edge + SIGN_INSET if self.before else edge + frame.length - SIGN_INSET
        ends = self.pole(-1.0), self.pole(1.0)
        minus, plus = (Pole(frame.point(u, sign), frame.point(u, self.lane)) for u in ends)
        return Module(Box(*corner, *size), minus, plus, list(self._bolts(bolts)))

    def _bolts(self, count: int) -> Iterator[Point]:
        """Along one long edge and back along the other."""
        half = (count + 1) // 2
        first, last = self.frame.edge(self.line) + CORNER, self.frame.edge(self.line) + self.frame.length - CORNER
        out = self.frame.depth / 2.0 - BOLT_INSET
        for number in range(half):
            yield self.frame.point(self.u - out, _spread(first, last, number, half))
        for number in range(count - half):
            yield self.frame.point(self.u + out, _spread(last, first, number, count - half))

    def to(self, following: _Place) -> Busbar:
        """The busbar from its plus pole to the minus pole of the next module."""
        frame = self.frame
        if following.line == self.line:
            turn = self.u + self.ahead * (frame.depth + frame.gap) / 2.0
        else:
            turn = frame.u_end + TURN if self.ahead > 0.0 else frame.u0 - TURN
        ends = (self.pole(1.0), self.lane), (following.pole(-1.0), following.lane)
        course = [ends[0], (turn, self.lane), (turn, following.lane), ends[1]]
        joints = self.pole(1.0) + self.ahead * JOINT, following.pole(-1.0) - following.ahead * JOINT
        return self._busbar(course, (joints[0], self.lane), (joints[1], following.lane))

    def to_contactor(self, way: float) -> Busbar:
        """The busbar from its plus (`way` 1.0) or minus pole (-1.0) to the main contactor."""
        out = way * self.ahead
        near, far = self.pole(way), self.u + out * (self.frame.depth / 2.0 + CONTACTOR)
        course = [(near, self.lane), (far, self.lane)]
        return self._busbar(course, (near + out * JOINT, self.lane), (far - out * JOINT, self.lane))

    def _busbar(self, course: Sequence[tuple[float, float]], *joints: tuple[float, float]) -> Busbar:
        points = [self.frame.point(*each) for each in course]
        first, second = (self.frame.point(*each) for each in joints)
        return Busbar(points, (points[0], points[-1]), (first, second))


def layout(orientations: Sequence[str], bolts: Sequence[int], cover_bolts: int) -> Layout:
    """The drawing of a pack.

    Args:
        orientations: how the module in each slot lies, in series order, in the recipe's words.
        bolts: how many hold each of them.

    Raises:
        ValueError: the pack has no modules.
    """
    if not orientations:
        raise ValueError("a pack without modules cannot be drawn")
    sides = [found[0] if (found := SIDE.search(text)) else "" for text in orientations]
    upright = not any(side in ("left", "right") for side in sides)
    lines = _lines(orientations, upright)
    frame = _Frame.of(upright, len(lines), max(len(numbers) for _, numbers in lines))
    places = [
        _Place(frame, line, index, sides[number] in BEFORE if sides[number] else number % 2 == 1)
        for line, (_, numbers) in enumerate(lines)
        for index, number in enumerate(numbers)
    ]
    between = [place.to(following) for place, following in pairwise(places)]
    return Layout(
        height=frame.height,
        upright=upright,
        modules=[place.module(count) for place, count in zip(places, bolts, strict=True)],
        busbars=[*between, places[0].to_contactor(-1.0), places[-1].to_contactor(1.0)],
        layers=[(name, _layer_text(frame, line)) for line, (name, _) in enumerate(lines) if name],
        cover_bolts=[_around(frame.height, (number + 0.5) / cover_bolts) for number in range(cover_bolts)],
    )


def _lines(orientations: Sequence[str], upright: bool) -> list[tuple[str, range]]:
    """Name of the layer and numbers of the modules, from 0, of each line."""
    most = 6 if upright else 12
    lines: list[tuple[str, range]] = []
    for name, numbers in groupby(range(len(orientations)), lambda number: _layer(orientations[number])):
        of_layer = list(numbers)
        lines += ((name, part) for part in _parts(range(of_layer[0], of_layer[-1] + 1), most))
    if any(name for name, _ in lines) and len(lines) <= LINES_MAX:
        return lines
    everything = range(len(orientations))
    least = 1 if upright or len(everything) <= ONE_COLUMN_MAX else 2
    return [("", part) for part in _parts(everything, most, least)]


def _parts(numbers: range, most: int, least: int = 1) -> list[range]:
    """Cut into as few parts of at most `most` as may be, but `least`, alike in length."""
    count = max(least, -(-len(numbers) // most))
    size = -(-len(numbers) // count)
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _layer(orientation: str) -> str:
    name = orientation.partition(",")[0]
    return name if "layer" in name.split() else ""


def _spread(first: float, last: float, number: int, count: int) -> float:
    """The place of one of `count` that are spread evenly; of a single one, in the middle."""
    return (first + last) / 2.0 if count == 1 else first + (last - first) * number / (count - 1)


def _layer_text(frame: _Frame, line: int) -> Point:
    middle = frame.edge(line) + frame.length / 2.0
    return frame.point(FLANGE + PAD + 10.0, middle)


def _around(height: float, share: float) -> Point:
    """The point in the middle of the flange at a share of the way round, clockwise from the corner at the origin."""
    start, across, down = FLANGE / 2.0, WIDTH - FLANGE, height - FLANGE
    way = share * 2.0 * (across + down)
    if way < across:
        return Point(start + way, start)
    if way < across + down:
        return Point(start + across, start + way - across)
    if way < 2.0 * across + down:
        return Point(start + 2.0 * across + down - way, start + down)
    return Point(start, start + 2.0 * (across + down) - way)
