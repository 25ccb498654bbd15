"""What a study needs before it is evaluated."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest

from bmsctl.analysis.grr.study import StudyError, crossed_study, read_study
from bmsctl.analysis.tables import TableError
from tests.support.strd.aiag import ROWS, example


def test_rows_in_any_order_make_the_same_study() -> None:
    shuffled = ROWS.copy()
    random.Random(1).shuffle(shuffled)
    ours, theirs = example(), crossed_study(shuffled)
    order = [theirs.parts.index(part) for part in ours.parts]
    columns = [theirs.appraisers.index(name) for name in ours.appraisers]
    np.testing.assert_array_equal(np.sort(theirs.values[order][:, columns]), np.sort(ours.values))
    assert ours.values[8, 0].tolist() == [2.26, 1.99, 2.01]


def test_a_missing_measurement_is_named() -> None:
    without = [row for row in ROWS if row[:3] != ("7", "B", "2")]
    with pytest.raises(StudyError, match="missing: part 7, appraiser B: trial 2; measure them"):
        crossed_study(without)


def test_a_part_that_an_appraiser_never_saw_is_named() -> None:
    without = [row for row in ROWS if row[:2] not in {("7", "B"), ("1", "C"), ("2", "C"), ("3", "C")}]
    with pytest.raises(StudyError, match=r"part 1, appraiser C: trial 1, 2, 3; .* and 1 more"):
        crossed_study(without)


def test_a_trial_twice_and_a_value_that_is_no_number() -> None:
    with pytest.raises(StudyError, match="part 1, appraiser A: trial 1 is there twice"):
        crossed_study([*ROWS, ROWS[0]])
    with pytest.raises(StudyError, match="part 1, appraiser A: trial 4 has no value"):
        crossed_study([*ROWS, ("1", "A", "4", math.nan)])


@pytest.mark.parametrize("rows", [[], ROWS[:10], [row for row in ROWS if row[0] == "1"]])
def test_too_small(rows: list[tuple[str, str, str, float]]) -> None:
    with pytest.raises(StudyError, match="too few; measure 2 parts or more, each at least 2 times"):
        crossed_study(rows)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,A,4,nan", ":92: value: nan is no measurement"),
        ("1,A,4,x", ":92: value: 'x' is no number"),
        ("1,,4,1", ":92: appraiser: is empty"),
        ("1,A,4,1", "measurements are missing: part 1, appraiser B: trial 4"),
    ],
)
def test_errors_name_file_and_place(tmp_path: Path, line: str, said: str) -> None:
    lines = ["part,appraiser,trial,value", *(",".join(map(str, row)) for row in ROWS), line]
    path = tmp_path / "study.csv"
    path.write_text("\n".join(lines))
    with pytest.raises((StudyError, TableError)) as caught:
        read_study(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("\n".join(["part,appraiser,trial,value", *(",".join(map(str, row)) for row in ROWS)]))
    np.testing.assert_array_equal(read_study(path).values, example().values)
