"""Pages of stored records: written whole or not at all, and values traced to the file they came from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmsctl.compose import reports
from bmsctl.compose.recipes import INSTALLED, RecipeBook
from bmsctl.compose.reports import explained, origins, write_report
from bmsctl.domain.attempts import Attempt
from bmsctl.errors import StoreError
from tests.support.attempts import RECIPE, store_of


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A store and its one record."""
    (record,) = store_of(tmp_path / "store")
    return tmp_path / "store", record


def test_the_page_lies_in_the_stores_reports_under_the_records_id(stored: tuple[Path, dict[str, Any]]) -> None:
    store, record = stored
    path = write_report(store, record["record_id"], None)
    assert path == store / "reports" / f"{record['record_id']}.html"
    assert record["pack_serial"] in path.read_text("utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_a_page_written_again_is_the_same(stored: tuple[Path, dict[str, Any]]) -> None:
    store, record = stored
    first = write_report(store, record["record_id"], None).read_bytes()
    assert write_report(store, record["record_id"], None).read_bytes() == first


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    stored: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, record = stored
    path = write_report(store, record["record_id"], None)
    before = path.read_bytes()

    def full(self: Path, *_: object) -> int:
        with self.open("w") as file:
            file.write("<half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"report cannot be written: No space left on device"):
        write_report(store, record["record_id"], None)
    assert path.read_bytes() == before


def test_a_folder_that_is_a_file_is_said(stored: tuple[Path, dict[str, Any]]) -> None:
    store, record = stored
    (store / reports.FOLDER).write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(store, record["record_id"], None)


def test_a_store_that_cannot_be_read_gives_no_page(stored: tuple[Path, dict[str, Any]]) -> None:
    store, record = stored
    with pytest.raises(StoreError, match="there is no record no-such"):
        write_report(store, "no-such", None)
    (store / "store.db").write_bytes(b"no database" * 100)
    for read in (write_report, explained):
        with pytest.raises(StoreError, match="cannot be read"):
            read(store, record["record_id"], None)
    assert not (store / reports.FOLDER).exists()


def test_a_pdf_names_the_last_record_elsewhere_that_was_closed_before(stored: tuple[Path, dict[str, Any]]) -> None:
    """So that what comes later does not change it."""
    record = stored[1] | {"started_at": "2026-01-01T01:00:00Z"}
    good = Attempt("a", record["pack_serial"], "AS52", "stacking", 1, "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z")
    later = replace(good, record_id="b", ended_at="2026-01-01T02:00:00Z")
    others = [replace(later, ended_at=None), replace(good, pack_serial="X"), replace(good, station="eol")]

    class Stub:
        def attempts(self) -> list[Attempt]:
            return [good, later, *others]

        def record(self, record_id: str) -> dict[str, Any]:
            return {"record_id": record_id}

    assert reports._before(Stub(), record) == {"record_id": "a"}  # type: ignore[arg-type]
    assert reports._before(Stub(), record | {"pack_serial": None}) is None  # type: ignore[arg-type]


def test_a_good_record_has_nothing_to_explain(stored: tuple[Path, dict[str, Any]]) -> None:
    store, record = stored
    assert explained(store, record["record_id"], None) == []


def test_origins_are_those_of_the_very_recipe(tmp_path: Path) -> None:
    recipe = RecipeBook().by_pack("AS52")
    assert origins(recipe, None) == recipe.provenance
    assert origins(RECIPE, None) == {}
    folder = Path(shutil.copytree(INSTALLED, tmp_path / "recipes"))
    (folder / "packs" / "a_broken_one.toml").write_text("[[[")
    assert origins(recipe, folder) == recipe.provenance
    pack = folder / "packs" / "as52.toml"
    pack.write_text(pack.read_text().replace('revision = "1"', 'revision = "2"'))
    assert origins(recipe, folder) == {}
