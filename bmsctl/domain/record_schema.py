"""JSON Schema (2020-12) of a record. Nothing beyond it is ever in a record; every key always is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA_ID = "urn:bmsctl:record:1"

_VERDICTS = ["PASS", "FAIL", "INVALID", "ABORTED"]
_TEXT = {"type": "string", "minLength": 1}
_TEXT_OR_NULL = {"type": ["string", "null"], "minLength": 1}
_NUMBER_OR_NULL = {"type": ["number", "null"]}
_VERDICT = {"enum": _VERDICTS}
_VERDICT_OR_NULL = {"enum": [*_VERDICTS, None]}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_UTC = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
_BASE_UNIT = "(V|A|Ohm|F|s|h|d|Hz|W|J|Ah|degC|K|Pa|Nm|deg|%)"
_UNIT = {"type": "string", "pattern": f"^({_BASE_UNIT}(/{_BASE_UNIT})?|cm3/min)$"}
_UNIT_OR_NULL = {"anyOf": [_UNIT, {"type": "null"}]}
_COUNT = {"type": "integer", "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    """An object with exactly these keys, all of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _if(key: str, has: Mapping[str, Any], other: str, must: Mapping[str, Any]) -> dict[str, Any]:
    """Where `key` matches `has`, `other` matches `must`."""
    return {"if": {"properties": {key: has}}, "then": {"properties": {other: must}}}


_PART = _object(
    slot=_TEXT,
    part_number=_TEXT,
    serial=_TEXT_OR_NULL,
    lot=_TEXT_OR_NULL,
    removed_reason=_TEXT_OR_NULL,
    removed_cause={"enum": ["replaced", "came_off", None]},
    incoming=_array(_object(name=_TEXT, unit=_UNIT, values=_array(_NUMBER_OR_NULL))),
    tightenings=_array(
        _object(
            tightening_id=_COUNT,
            parameter_set=_COUNT,
            ok={"type": "boolean"},
            torque=_NUMBER_OR_NULL,
            angle=_NUMBER_OR_NULL,
            at=_TEXT,
        )
    ),
)

_MEASUREMENT = _object(
    name=_TEXT,
    value=_NUMBER_OR_NULL,
    unit=_UNIT_OR_NULL,
    low=_NUMBER_OR_NULL,
    high=_NUMBER_OR_NULL,
    u95=_NUMBER_OR_NULL,
    verdict=_VERDICT,
    reason=_TEXT_OR_NULL,
) | _if("value", {"type": "null"}, "verdict", {"const": "INVALID"})

_TRACE = _object(name=_TEXT, unit=_UNIT_OR_NULL, sample_rate_hz=_NUMBER_OR_NULL, n=_COUNT, sha256=_SHA256)

_STEP = _object(
    name=_TEXT,
    verdict=_VERDICT_OR_NULL,
    reason=_TEXT_OR_NULL,
    started_s=_NUMBER_OR_NULL,
    duration_s=_NUMBER_OR_NULL | {"minimum": 0},
    measurements=_array(_MEASUREMENT),
    traces=_array(_TRACE),
) | _if("verdict", {"type": "null"}, "reason", _TEXT)

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": SCHEMA_ID,
    "title": "Record of one attempt of one pack at one station",
    **_object(
        schema={"const": SCHEMA_ID},
        record_id=_TEXT,
        pack_serial=_TEXT_OR_NULL,
        pack=_TEXT,
        vehicle=_TEXT_OR_NULL,
        station={"enum": ["eol", "selftest", "stacking"]},
        world=_TEXT,
        simulated={"type": "boolean"},
        mode={"enum": ["Production", "Maintenance", "Engineering"]},
        recipe=_object(id=_TEXT, revision=_TEXT, sha256=_SHA256),
        software=_object(version=_TEXT, git=_TEXT_OR_NULL),
        operator=_TEXT_OR_NULL,
        attempt={"type": "integer", "minimum": 1},
        started_at=_UTC,
        ended_at={"anyOf": [_UTC, {"type": "null"}]},
        verdict=_VERDICT_OR_NULL,
        reason=_TEXT_OR_NULL,
        disposition={"enum": ["release", "rework", "retest", "hold", "scrap", None]},
        genealogy=_array(_PART),
        steps=_array(_STEP),
        events=_object(n={"type": "integer", "minimum": 1}, head_sha256=_SHA256),
    ),
}
