"""The end-of-line station: its steps, in order."""

from __future__ import annotations

from bmsctl.stations.eol.bms import bms_alive, bms_identity
from bmsctl.stations.eol.cells import cells_at_rest
from bmsctl.stations.eol.contactors import contactors_open
from bmsctl.stations.eol.identify import identify
from bmsctl.stations.eol.precharge import precharge
from bmsctl.stations.step import Step

STEPS = (
    Step("identify", identify, devices=("plc", "bms")),
    Step("bms_alive", bms_alive, devices=("plc", "bms")),
    Step("bms_identity", bms_identity, devices=("bms",)),
    Step("contactors_open", contactors_open, devices=("bms", "matrix", "digitizer"), high_voltage=True),
    Step("cells_at_rest", cells_at_rest, devices=("bms",)),
    Step("precharge", precharge, devices=("bms", "matrix", "digitizer"), high_voltage=True),
)
