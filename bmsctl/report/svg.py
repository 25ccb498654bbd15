"""Charts as SVG elements: no script, no external file, readable on paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from bmsctl.domain.ports import F64

WIDTH, HEIGHT = 720, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 26, 44
LINE = 14
TICKS = 5
POINTS_MAX = 600


class Canvas:
    """An SVG element in the making, of a class and with a name that is read out; lengths are those of its view box."""

    def __init__(self, css: str, title: str, width: float, height: float) -> None:
        attributes = {"class": css, "viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": title}
        self.root = ElementTree.Element("svg", attributes)

    def group(self, css: str, title: str) -> ElementTree.Element:
        """A group with a text that a pointer shows."""
        element = self.add("g", css)
        ElementTree.SubElement(element, "title").text = title
        return element

    def add(
        self, tag: str, css: str, parent: ElementTree.Element | None = None, **attributes: float | str
    ) -> ElementTree.Element:
        """An element in `parent`, or in the picture itself."""
        written = {key: value if isinstance(value, str) else f"{value:.1f}" for key, value in attributes.items()}
        return ElementTree.SubElement(self.root if parent is None else parent, tag, {"class": css, **written})

    def text(
        self, css: str, x: float, y: float, text: str, anchor: str, parent: ElementTree.Element | None = None
    ) -> ElementTree.Element:
        """A line of text that starts, ends or has its middle at (x, y)."""
        element = self.add("text", css, parent, x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = text
        return element

    def render(self) -> str:
        """The SVG element as text."""
        return ElementTree.tostring(self.root, encoding="unicode")


class Chart:
    """A chart in the making: what is drawn, and over which ranges."""

    def __init__(
        self, title: str, x_label: str, y_label: str, x_range: tuple[float, float], y_range: tuple[float, float]
    ) -> None:
        self._x_range, self._y_range = x_range, y_range
        self._canvas = Canvas("chart", title, WIDTH, HEIGHT)
        self._canvas.add("rect", "frame", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT, height=HEIGHT - TOP - BOTTOM)
        for value in ticks(*y_range):
            self._canvas.add("line", "grid", x1=LEFT, x2=WIDTH - RIGHT, y1=self._y(value), y2=self._y(value))
            self._canvas.text("tick", LEFT - 6, self._y(value) + 4, tick_text(value), "end")
        self._canvas.text("axis", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle")
        upright = f"translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"
        self._canvas.text("axis", 0, 0, y_label, "middle").set("transform", upright)

    def _x(self, value: float) -> float:
        low, high = self._x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        """Kept inside the frame."""
        low, high = self._y_range
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def line(self, x: F64, y: F64, css: str) -> None:
        """A curve; (n,) each, NaN leaves a gap. Long ones are thinned, extremes kept."""
        for run in _unbroken(*thinned(x, y)):
            self._canvas.add("polyline", css, points=" ".join(f"{self._x(a):.1f},{self._y(b):.1f}" for a, b in run))

    def dot(self, x: float, y: float, css: str, title: str) -> None:
        """A point with a text that a pointer shows."""
        circle = self._canvas.add("circle", css, cx=self._x(x), cy=self._y(y), r=3)
        ElementTree.SubElement(circle, "title").text = title

    def level(self, value: float, css: str, text: str) -> None:
        """A horizontal line with a text at its right end, inside the frame; nothing if it lies outside."""
        if self._y_range[0] <= value <= self._y_range[1]:
            y = self._y(value)
            self._canvas.add("line", css, x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
            self._canvas.text("note", WIDTH - RIGHT - 4, y - 4 if y > TOP + LINE else y + LINE, text, "end")

    def mark(self, value: float, text: str) -> None:
        """A vertical line with a text above the frame."""
        self._canvas.add("line", "mark", x1=self._x(value), x2=self._x(value), y1=TOP, y2=HEIGHT - BOTTOM)
        self._canvas.text("note", self._x(value), TOP - 6, text, "start")

    def x_ticks(self, at: Sequence[tuple[float, str]] | None = None) -> None:
        """Numbers below the frame: round ones, or these."""
        for value, text in at or [(value, tick_text(value)) for value in ticks(*self._x_range)]:
            self._canvas.text("tick", self._x(value), HEIGHT - BOTTOM + 16, text, "middle")

    def render(self) -> str:
        """The SVG element as text."""
        return self._canvas.render()


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, about TICKS of them."""
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * (1.0 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick's number; zero has no sign."""
    return f"{value:.6g}" if abs(value) > 1e-12 else "0"


def padded(values: Iterable[float], least: float) -> tuple[float, float]:
    """A range around the finite values with some room, at least `least` wide."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    room = max(0.06 * (high - low), (least - (high - low)) / 2.0)
    return low - room, high + room


def thinned(x: F64, y: F64) -> tuple[list[float], list[float]]:
    """At most about POINTS_MAX points: first, smallest and largest of each stretch, in their order."""
    if len(x) <= POINTS_MAX:
        return x.tolist(), y.tolist()
    stretch = -(-len(x) // (POINTS_MAX // 3))
    kept: list[int] = []
    for start in range(0, len(x), stretch):
        piece = y[start : start + stretch].tolist()
        kept += sorted({start, start + piece.index(min(piece)), start + piece.index(max(piece))})
    return x[kept].tolist(), y[kept].tolist()


def _unbroken(xs: Sequence[float], ys: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """The points between gaps."""
    run: list[tuple[float, float]] = []
    for point in zip(xs, ys, strict=True):
        if math.isfinite(point[1]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run
