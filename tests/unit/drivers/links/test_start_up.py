"""Links cost nothing at start-up: the libraries of devices are imported when a port is opened."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from bmsctl.drivers import links

SCRIPT = "import sys; import {modules}; print(*sorted({{'can', 'serial', 'numpy'}} & set(sys.modules)))"


def test_no_module_imports_a_library_of_a_device() -> None:
    modules = [f"{links.__name__}.{module.name}" for module in pkgutil.iter_modules(links.__path__)]
    assert f"{links.__name__}.can_link" in modules
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(modules=", ".join(modules))], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
