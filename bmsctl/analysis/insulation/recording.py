"""Recordings of both poles as files: numpy archives with voltages, switching times and the circuit."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bmsctl.analysis.insulation.blocks import Blocks, Grid, ScheduleError, block_grid, block_means
from bmsctl.analysis.insulation.judge import Circuit, Judgement, Verdict, judge
from bmsctl.errors import BmsctlError

VOLTAGES = ("v_pos", "v_neg")
SWITCHING = ("switch_time_s", "switch_state")
NUMBERS = ("scale_v", "sample_rate_hz", "r0_ohm", "r_meter_ohm", "limit_ohm_per_v", "max_working_voltage_v")


class RecordingError(BmsctlError):
    """A recording cannot be used; the text names file and column, and what to do."""


class InsulationRecording(NamedTuple):
    """`v_pos`, `v_neg`: (n,) int16 counts or floats of `scale_v` volts each."""

    v_pos: NDArray[np.generic]
    v_neg: NDArray[np.generic]
    scale_v: float
    grid: Grid
    circuit: Circuit

    @property
    def blocks(self) -> Blocks:
        """The means of its blocks."""
        return block_means(self.v_pos, self.v_neg, self.scale_v, self.grid)


def read_recording(path: Path) -> InsulationRecording:
    """Read a recording; columns that are not needed are ignored.

    Raises:
        RecordingError: unreadable, a column missing, or of a kind or size that cannot be.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise ValueError("it holds one array")
            columns = {name: archive[name] for name in (*VOLTAGES, *SWITCHING, *NUMBERS) if name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, TypeError, AttributeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}; give an .npz file of plain arrays") from error
    missing = [name for name in (*VOLTAGES, *SWITCHING, *NUMBERS) if name not in columns]
    if missing:
        raise RecordingError(f"{path}: column {', '.join(missing)} is missing; write it into the file")
    for name, column in columns.items():
        if column.dtype.kind not in "iuf":
            raise RecordingError(f"{path}: {name}: holds {column.dtype}, not numbers; write integers or floats")
    numbers = {name: _number(path, name, columns[name]) for name in NUMBERS}
    v_pos, v_neg = (columns[name] for name in VOLTAGES)
    if v_pos.ndim != 1 or v_pos.shape != v_neg.shape:
        raise RecordingError(f"{path}: v_pos, v_neg: have shapes {v_pos.shape}, {v_neg.shape}; both must be (n,)")
    if not np.isfinite(columns["switch_state"]).all():
        raise RecordingError(f"{path}: switch_state: a state is no number; write 0, 1 or 2")
    try:
        grid = block_grid(len(v_pos), numbers["sample_rate_hz"], *(columns[name] for name in SWITCHING))
    except ScheduleError as error:
        raise RecordingError(f"{path}: {error}") from error
    limit_ohm = numbers["limit_ohm_per_v"] * numbers["max_working_voltage_v"]
    circuit = Circuit(numbers["r0_ohm"], numbers["r_meter_ohm"], limit_ohm)
    return InsulationRecording(v_pos, v_neg, numbers["scale_v"], grid, circuit)


def judge_recording(recording: InsulationRecording, settled: bool = False) -> Judgement:
    """Judge a recording; a value that is missing, or at the end of the converter's range, makes it INVALID."""
    for name, volts in zip(VOLTAGES, recording[:2], strict=True):
        if not np.isfinite(volts).all():
            return Judgement(Verdict.INVALID, f"{name} holds values that are no numbers; measure again")
        if volts.dtype == np.int16 and len(volts) and _over_range(volts):
            return Judgement(Verdict.INVALID, f"{name} is at the end of the converter's range; use a larger range")
    return judge(recording.blocks, recording.grid, recording.circuit, settled=settled)


def _over_range(counts: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(counts.max() == limits.max or counts.min() == limits.min)


def _number(path: Path, name: str, column: NDArray[Any]) -> float:
    if column.size != 1:
        raise RecordingError(f"{path}: {name}: has {column.size} values; write one")
    value = float(column.reshape(()))
    if not 0.0 < value < np.inf:
        raise RecordingError(f"{path}: {name}: is {value:g}; it must be above 0")
    return value
