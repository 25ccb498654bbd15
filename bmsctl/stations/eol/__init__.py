"""The end-of-line station: its steps, in order."""

from __future__ import annotations

from bmsctl.stations.eol.balancing import balancing_channels
from bmsctl.stations.eol.bms import bms_alive, bms_identity
from bmsctl.stations.eol.bonding import bonding
from bmsctl.stations.eol.cells import cells_at_rest
from bmsctl.stations.eol.contactors import contactors_open
from bmsctl.stations.eol.context import Step
from bmsctl.stations.eol.dcir import dcir
from bmsctl.stations.eol.hvil import hvil
from bmsctl.stations.eol.identify import identify
from bmsctl.stations.eol.insulation import insulation_live
from bmsctl.stations.eol.precharge import precharge
from bmsctl.stations.eol.release import dtc_final, write_identity
from bmsctl.stations.eol.self_discharge import self_discharge
from bmsctl.stations.eol.ship_soc import ship_soc
from bmsctl.stations.eol.supply import quiescent_current, sleep
from bmsctl.stations.eol.temperatures import temperatures
from bmsctl.stations.eol.testers import insulation_outer, withstand

_LIVE = ("bms", "matrix", "digitizer")
_TESTERS = ("plc", *_LIVE, "insulation_tester", "withstand_tester")

STEPS = (
    Step("identify", identify, devices=("plc", "operator", "lv_supply", "bms")),
    Step("quiescent_current", quiescent_current, devices=("lv_supply",)),
    Step("bms_alive", bms_alive, devices=("plc", "bms", "lv_supply")),
    Step("bms_identity", bms_identity, devices=("bms",)),
    Step("hvil", hvil, devices=("plc", "bms")),
    Step("bonding", bonding, devices=("ohmmeter",)),
    Step("contactors_open", contactors_open, devices=_LIVE, high_voltage=True),
    Step("insulation_outer", insulation_outer, devices=_TESTERS, high_voltage=True),
    Step("withstand", withstand, devices=_TESTERS, high_voltage=True, repeatable=False),
    Step("cells_at_rest", cells_at_rest, devices=("bms",)),
    Step("temperatures", temperatures, devices=("bms", "plc")),
    Step("precharge", precharge, devices=_LIVE, high_voltage=True),
    Step("insulation_live", insulation_live, devices=_LIVE, high_voltage=True),
    Step("dcir", dcir, devices=(*_LIVE, "cycler"), high_voltage=True),
    Step("balancing_channels", balancing_channels, devices=("bms",)),
    Step("self_discharge", self_discharge, devices=("bms",)),
    Step("ship_soc", ship_soc, devices=(*_LIVE, "cycler"), high_voltage=True),
    Step("write_identity", write_identity, devices=("bms",), voltage_free=True),
    Step("dtc_final", dtc_final, devices=("bms",), voltage_free=True),
    Step("sleep", sleep, devices=("plc", "bms", "lv_supply"), voltage_free=True),
)
