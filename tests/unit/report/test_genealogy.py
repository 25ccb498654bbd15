from __future__ import annotations

import pytest

from bmsctl.report.genealogy import bolt_groups, bolt_number, incoming, part_rows
from tests.unit.report.stacked import AM60, AS52, bad_bolt, genealogy, part, reworked, tightening

INCOMING = [
    {"name": "age", "unit": "s", "values": [1497105.4]},
    {"name": "cell_voltage", "unit": "V", "values": [3.5698, None, 3.5716, 3.567]},
    {"name": "voltage", "unit": "V", "values": [85.57]},
    {"name": "resistance", "unit": "Ohm", "values": [0.00829]},
    {"name": "temperature", "unit": "degC", "values": [None]},
]


def test_incoming_data_is_short() -> None:
    assert incoming(part("module 1", incoming=INCOMING)) == (
        "age 17.3 d; cell voltage 3.567 V … 3.572 V (4, 1 unknown); voltage 85.57 V; resistance 8.29 mOhm; "
        "temperature unknown"
    )
    assert incoming(part("tray")) == ""


def test_parts_are_told_in_order_without_bolts_and_busbars_alike_in_one_row() -> None:
    rows = part_rows(genealogy(AM60))
    assert [row.slot for row in rows][:3] == ["tray", "module 1", "module 2"]
    assert [row.slot for row in rows][-4:] == [
        "busbar 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13", "harness", "bms", "cover",
    ]  # fmt: skip
    assert len(rows) == 1 + 12 + 1 + 3


def test_a_removed_part_has_a_row_of_its_own() -> None:
    parts = [part("busbar 1"), part("busbar 2", removed_reason="replaced"), part("busbar 3"), part("busbar 2")]
    assert [(row.slot, row.removed) for row in part_rows(parts)] == [("busbar 1, 3, 2", ""), ("busbar 2", "replaced")]
    removed = [row for row in part_rows(reworked()["genealogy"]) if row.removed]
    assert [(row.slot, row.serial, row.removed) for row in removed] == [
        ("module 3", "M-3", "replaced"),
        ("cover", "", "came off with module 3"),
    ]


def test_bolts_are_grouped_by_what_they_hold() -> None:
    groups = bolt_groups(genealogy(AS52), AS52, "stacking")
    counts = [(group.holds, group.n, group.renewed) for group in groups]
    assert counts[:5] == [(f"module {number}", 8, 0) for number in range(1, 5)] + [("busbar 1", 2, 0)]
    assert counts[-1] == ("cover", 50, 0)
    assert [row.bolt for row in groups[0].rows] == [f"m1.{number}" for number in range(1, 9)]
    assert [row.bolt for row in groups[-1].rows][8:11] == ["c9", "c10", "c11"]


def test_the_worst_bolt_is_the_one_nearest_to_a_limit() -> None:
    torques = {"m1.1": (25.9, 95.0), "m1.2": (26.8, 40.0), "m1.3": (23.3, 120.0)}
    parts = [part(f"bolt {bolt}", tightenings=[tightening(1, *values)]) for bolt, values in torques.items()]
    (group,) = bolt_groups(parts, AS52, "stacking")
    assert (group.worst_torque, group.worst_angle) == ("26.8 Nm (m1.2)", "40 deg (m1.2)")


def test_a_renewed_bolt_is_told_before_the_one_that_is_in() -> None:
    (group,) = bolt_groups(bad_bolt()["genealogy"], AS52, "stacking")
    assert (group.n, group.renewed, group.worst_torque) == (3, 1, "18.1 Nm (m1.3)")
    first, second = (row for row in group.rows if row.bolt == "m1.3")
    assert (first.torque, first.removed) == ("18.3 Nm", "torque[m1.3]: below low")
    assert (second.torque, second.removed) == ("18.1 Nm", "")
    assert second.tightening == "4712 at 2026-01-01:00:01:00, NOK"


def test_a_bolt_without_tightening_or_value_says_so() -> None:
    twice = [tightening(1, 24.0), tightening(2, None)]
    parts = [part("bolt c1"), part("bolt c2", tightenings=twice)]
    (group,) = bolt_groups(parts, AS52, "stacking")
    assert [(row.torque, row.tightening.partition(" at")[0]) for row in group.rows] == [
        ("", "not tightened"),
        ("no value", "2"),
    ]
    assert group.rows[1].tightening.endswith("; before it 1")
    assert (group.worst_torque, group.worst_angle) == ("no value", "90 deg (c2)")


def test_a_part_taken_out_whole_leaves_its_bolts_on_record() -> None:
    parts = [part("bolt m2.1", removed_reason="came off with module 2", tightenings=[tightening(1, 25.0)])]
    (group,) = bolt_groups(parts, AS52, "stacking")
    assert (group.n, group.renewed, group.part_numbers, group.worst_torque) == (0, 1, "295X", "")


@pytest.mark.parametrize(("bolt", "number"), [("m1.3", 3), ("b12.10", 10), ("c7", 7)])
def test_a_bolts_number(bolt: str, number: int) -> None:
    assert bolt_number(bolt) == number
