"""The stacking station: its steps, in order."""

from __future__ import annotations

from bmsctl.stations.stacking.bolts import bolts, busbars, cover_bolts
from bmsctl.stations.stacking.context import Step
from bmsctl.stations.stacking.flashing import bms_flash
from bmsctl.stations.stacking.harness import harness
from bmsctl.stations.stacking.hvil_loop import hvil_loop
from bmsctl.stations.stacking.joints import joints
from bmsctl.stations.stacking.label import label
from bmsctl.stations.stacking.leaks import leak_test
from bmsctl.stations.stacking.modules_in import modules_in
from bmsctl.stations.stacking.place import place
from bmsctl.stations.stacking.tray import tray

_TABLE = ("plc", "operator", "scanner", "battery_tester", "ohmmeter", "insulation_tester")
_BOLTING = ("operator", "nutrunner")
_POWERED = ("plc", "bms", "lv_supply")

STEPS = (
    Step("tray", tray, devices=("operator",)),
    Step("modules_in", modules_in, devices=_TABLE),
    Step("place", place, devices=("operator", "battery_tester")),
    Step("bolts", bolts, devices=_BOLTING),
    Step("busbars", busbars, devices=_BOLTING),
    Step("joints", joints, devices=("plc", "operator", "ohmmeter", "battery_tester", "insulation_tester")),
    Step("harness", harness, devices=("operator", *_POWERED)),
    Step("hvil_loop", hvil_loop, devices=("operator", "ohmmeter")),
    Step("bms_flash", bms_flash, devices=_POWERED),
    Step("coolant_leak", leak_test, devices=("operator", "leak_tester")),
    Step("cover_bolts", cover_bolts, devices=_BOLTING),
    Step("housing_leak", leak_test, devices=("operator", "leak_tester")),
    Step("label", label, devices=("operator", "label_printer")),
)
