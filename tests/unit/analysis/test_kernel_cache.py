"""A cached kernel is used only while nothing that it may call has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bmsctl.analysis.kernel_cache import sources_stamp

CALLER = "from bmsctl.analysis.compiled import kernel\nfrom pair.callee import callee\n\n\n"
CALLER += "@kernel\ndef caller():\n    return callee()\n"


def test_the_stamp_changes_with_any_source_below(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "one.py").write_text("a = 1\n")
    (tmp_path / "inner" / "two.py").write_text("b = 1\n")
    (tmp_path / "note.txt").write_text("text")
    before = sources_stamp(tmp_path)
    (tmp_path / "note.txt").write_text("another text")
    assert sources_stamp(tmp_path) == before
    (tmp_path / "inner" / "two.py").write_text("b = 2\n")
    assert sources_stamp(tmp_path) != before


def test_a_kernel_calls_what_its_callee_is_today(tmp_path: Path) -> None:
    """Caller and callee in two files, as if they were those of the analyses."""
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "__init__.py").touch()
    (pair / "caller.py").write_text(CALLER)
    answers = []
    for number in (1, 2):
        text = f"from bmsctl.analysis.compiled import kernel\n\n\n@kernel\ndef callee():\n    return {number}\n"
        (pair / "callee.py").write_text(text)
        ask = (
            "from pathlib import Path\nfrom bmsctl.analysis import kernel_cache\n"
            f"kernel_cache._stamp = lambda: kernel_cache.sources_stamp(Path({str(pair)!r}))\n"
            "from pair.caller import caller\nprint(caller())\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
        answers.append(done.stdout.strip())
    assert answers == ["1", "2"]
