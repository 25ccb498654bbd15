"""ARCHITECTURE.md says what the code says."""

from __future__ import annotations

from pathlib import Path

from bmsctl.domain.packml import mermaid

ROOT = Path(__file__).parents[2]


def test_the_state_diagram_is_the_table() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    drawn = text.split("```mermaid\n")[1].split("\n```")[0]
    assert drawn == mermaid()


def test_architecture_and_readme_stay_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 250
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80


def test_every_folder_of_the_map_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.split("<!-- map -->")[1].split("<!-- /map -->")[0]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
