"""Pictures of an analysis as SVG or PNG files, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bmsctl.errors import BmsctlError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")


class FigureError(BmsctlError):
    """The picture cannot be drawn or written."""


@contextmanager
def figure(path: Path, width: float = 10.0, height: float = 5.6) -> Iterator[Figure]:
    """A figure to draw on, written to `path` at the end; the same drawing gives the same bytes.

    Args:
        path: with the suffix .svg or .png.
        width: inches; `height` too.

    Raises:
        FigureError: another suffix, matplotlib is not installed, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise FigureError(f"{path}: a picture is {' or '.join(FORMATS)}; name the file so")
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FigureError(f"pictures need matplotlib: pip install 'bmsctl[analysis]' ({error})") from error
    with matplotlib.rc_context(
        {
            "font.size": 10,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "bmsctl",
            "svg.fonttype": "none",
        }
    ):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        try:
            drawing.savefig(path, dpi=150, metadata=metadata)
        except OSError as error:
            raise FigureError(f"{path}: cannot be written: {error}; name another file") from error
