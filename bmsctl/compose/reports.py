"""Reports and explanations of stored records."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bmsctl.compose.recipes import RecipeBook
from bmsctl.domain.recipe import Origin, Recipe
from bmsctl.errors import RecipeError, StoreError
from bmsctl.report.page import render
from bmsctl.report.story import Finding, findings
from bmsctl.store.reader import Reader, Told

FOLDER = "reports"


def write_report(store: Path, record_id: str, recipes: Path | None, beside: Collection[str] = ()) -> Path:
    """Write the page of a record into the store's folder of reports; its path.

    It links to the page of the pack's newest record at the other station, if that is there, too.

    Args:
        beside: records whose pages are about to be written.

    Raises:
        StoreError: the record cannot be read, or the page cannot be written.
    """
    told = _told(store, record_id)
    other = _other(store, told.record, beside)
    page = render(told.record, told.recipe, origins(told.recipe, recipes), told.traces, other)
    return _written(_path(store, record_id), page.encode())


def write_pdf(store: Path, record_id: str, recipes: Path | None) -> Path:
    """Write the record as a PDF beside its page; its path. What the store says of the record alone decides its bytes.

    Raises:
        StoreError: the record cannot be read, or the PDF cannot be written.
        PdfError: typst is not installed, or refuses the document.
    """
    from bmsctl.report.pdf import render_pdf

    with Reader.open(store) as reader:
        told = reader.told(record_id)
        before = _before(reader, told.record)
    pdf = render_pdf(told.record, told.recipe, origins(told.recipe, recipes), told.traces, before)
    return _written(_path(store, record_id).with_suffix(".pdf"), pdf)


def _written(path: Path, data: bytes) -> Path:
    """The path of a report, whole on the disk or as it was."""
    try:
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError as error:
        raise StoreError(f"{path}: the report cannot be written: {error.strerror}") from error
    return path


def _before(reader: Reader, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pack's last closed record at another station before this one was begun."""
    serial, station, began = (record[key] for key in ("pack_serial", "station", "started_at"))
    elsewhere = [each for each in reader.attempts() if each.pack_serial == serial and each.station != station]
    ids = [each.record_id for each in elsewhere if serial and each.ended_at and each.ended_at <= began]
    return reader.record(ids[-1]) if ids else None


def _other(store: Path, record: Mapping[str, Any], beside: Collection[str]) -> Mapping[str, Any] | None:
    """The pack's newest record at another station, if it has a page."""
    with Reader.open(store) as reader:
        same = [attempt for attempt in reader.attempts() if attempt.pack_serial == record["pack_serial"]]
        ids = [attempt.record_id for attempt in same if attempt.station != record["station"]]
        if not ids or not (ids[-1] in beside or _path(store, ids[-1]).exists()):
            return None
        return reader.record(ids[-1])


def _path(store: Path, record_id: str) -> Path:
    return store / FOLDER / f"{record_id}.html"


def explained(store: Path, record_id: str, recipes: Path | None) -> list[Finding]:
    """What is not PASS in a record, in words; raises StoreError if it cannot be read."""
    told = _told(store, record_id)
    return list(findings(told.record, told.recipe, origins(told.recipe, recipes)))


def origins(recipe: Recipe, recipes: Path | None) -> Mapping[str, Origin]:
    """Where the values of a recipe came from; empty if the folder no longer has this very recipe."""
    book = RecipeBook(recipes)
    for file in book.files():
        try:
            compiled = book.compile(file)
        except RecipeError:
            continue
        if compiled.sha256 == recipe.sha256:
            return compiled.provenance
    return {}


def _told(store: Path, record_id: str) -> Told:
    with Reader.open(store) as reader:
        return reader.told(record_id)
