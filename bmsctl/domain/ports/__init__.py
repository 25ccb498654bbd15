"""What a station needs of each device. Drivers implement these; stations know nothing else.

Common contract. Every call that can energise takes the device's `Lease` and raises LeaseRevoked once it
is revoked. Calls that are not awaited (`off`, `open_*`, `drop_*`, a digitizer's `stop`) take no lease, no lock and no
time: they only hand one telegram to the link, and swallow nothing but LinkDown and TxFull. Every awaiting call has a
deadline of its own and raises DeviceTimeout, ReplyInvalid, DeviceRefused, DeviceRestarted or LinkDown; it
returns only values that passed their check (CRC, counter, tag, range), and touches the lease when they did.
"""

from bmsctl.domain.ports.assembly import (
    BatteryReading,
    BatteryTester,
    LeakTest,
    LeakTester,
    LimitStatus,
    ModuleSelector,
    Nutrunner,
    PressureDecay,
    Tightening,
)
from bmsctl.domain.ports.bms import (
    F64,
    Bms,
    BmsIdentity,
    BmsTaps,
    CellSnapshot,
    Dtc,
    MonitorState,
    PackSample,
    PlantMode,
    Relay,
)
from bmsctl.domain.ports.digitizer import Digitizer, DigitizerReading, Recording, Resistor
from bmsctl.domain.ports.instruments import (
    Cycler,
    CyclerReading,
    InsulationReading,
    InsulationTester,
    LvSupply,
    Ohmmeter,
    ResistanceReading,
    WithstandReading,
    WithstandTester,
)
from bmsctl.domain.ports.matrix import Matrix, Route
from bmsctl.domain.ports.people import (
    Genealogy,
    IncomingModule,
    Instruction,
    LabelPrinter,
    ManualTask,
    Mes,
    ModuleData,
    Operator,
    Parts,
    Scanner,
)
from bmsctl.domain.ports.plc import Challenge, Plc, PlcStatus, PlcVoltages, StationSense, TripCause

__all__ = [
    "F64",
    "BatteryReading",
    "BatteryTester",
    "Bms",
    "BmsIdentity",
    "BmsTaps",
    "CellSnapshot",
    "Challenge",
    "Cycler",
    "CyclerReading",
    "Digitizer",
    "DigitizerReading",
    "Dtc",
    "Genealogy",
    "IncomingModule",
    "Instruction",
    "InsulationReading",
    "InsulationTester",
    "LabelPrinter",
    "LeakTest",
    "LeakTester",
    "LimitStatus",
    "LvSupply",
    "ManualTask",
    "Matrix",
    "Mes",
    "ModuleData",
    "ModuleSelector",
    "MonitorState",
    "Nutrunner",
    "Ohmmeter",
    "Operator",
    "PackSample",
    "Parts",
    "PlantMode",
    "Plc",
    "PlcStatus",
    "PlcVoltages",
    "PressureDecay",
    "Recording",
    "Relay",
    "ResistanceReading",
    "Resistor",
    "Route",
    "Scanner",
    "StationSense",
    "Tightening",
    "TripCause",
    "WithstandReading",
    "WithstandTester",
]
