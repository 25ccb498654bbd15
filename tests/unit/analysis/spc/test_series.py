"""Series of a file: what is missing, what is refused and where."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bmsctl.analysis.spc.series import Series, read_series
from bmsctl.analysis.tables import TableError


def read(folder: Path, text: str) -> dict[str, Series]:
    (folder / "a.csv").write_text(text)
    return read_series(folder / "a.csv")


def test_keys_in_order_with_their_limits(tmp_path: Path) -> None:
    found = read(tmp_path, "value,key,upper\n1,b,\n2,a,5\n\n3,b,4\nnan,a,\n,a,5\n")
    assert list(found) == ["b", "a"]
    assert (found["b"].values.tolist(), found["b"].upper) == ([1.0, 3.0], 4.0)
    assert found["a"].values[0] == 2.0
    assert [math.isnan(value) for value in found["a"].values] == [False, True, True]
    assert math.isnan(found["a"].lower)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,value\na,x\n", "a.csv:2: value: 'x' is no number"),
        ("key\na\n", "column value is missing"),
        ("key,value\n,1\n", "a.csv:2: key: is empty"),
        ("key,value,lower\na,1,0\na,1,0.5\n", "a.csv:3: lower: 0.5 differs from 0 of the same key"),
        ("key,value,upper\na,1,inf\n", "a.csv:2: upper: inf is no limit"),
        ("key,value,lower,upper\na,1,2,2\n", "a.csv:2: lower: 2 is not below the upper limit 2 of a"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TableError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
