"""The steps of the end-of-line station, in running order."""

from __future__ import annotations

from bmsctl.domain.steps.eol_closed import CLOSED
from bmsctl.domain.steps.eol_open import OPEN

EOL = (*OPEN, *CLOSED)
