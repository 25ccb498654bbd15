"""The BMS's data identifiers: what each reads, and what may be written in which session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bmsctl.domain.ports import BmsIdentity, Relay
from bmsctl.protocols import dids
from bmsctl.protocols.bms_broadcast import Hvil
from bmsctl.protocols.dids import RELAY_BYPASS, RELAY_DRIVER, TEXTS, Did, cell_did
from bmsctl.protocols.uds import Session
from firmware_stubs.bms.broadcast import BmsState
from firmware_stubs.bms.imd import InsulationMonitor
from firmware_stubs.bms.measure import FrontEnd

OCV_V = (3.0, 3.45, 3.555, 3.622, 3.663, 3.705, 3.79, 3.99, 4.2)
OCV_PERCENT = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0)

DEFAULT_SLEEP_DELAY_S = 25.0
SLEEP_DELAY_MIN_S, SLEEP_DELAY_MAX_S = 1.0, 600.0

EXTENDED = frozenset({Session.EXTENDED, Session.SUPPLIER})
SUPPLIER = frozenset({Session.SUPPLIER})


@dataclass(frozen=True, slots=True)
class Entry:
    """One identifier. `write` returns False for a value out of range; None: it cannot be written."""

    read: Callable[[], bytes]
    write: Callable[[bytes], bool] | None = None
    length: int = 0
    sessions: frozenset[Session] = frozenset()
    secured: bool = False


@dataclass
class BmsSettings:
    """What a tester can change; `bypassed` are the relays taken over. Lost with the supply."""

    bypassed: set[Did] = field(default_factory=set)
    sleep_delay_s: float = DEFAULT_SLEEP_DELAY_S


def identification(identity: BmsIdentity) -> dict[int, Entry]:
    """Identifiers that say what the unit is. The VIN is blank and can be written."""
    texts = {
        Did.REVISION: "AB",
        Did.BOOT_SOFTWARE: "BOOT0100",
        Did.CALIBRATION: identity.calibration,
        Did.PART_NUMBER: identity.part_number,
        Did.SUPPLIER: "AMPR",
        Did.ECU_SERIAL: identity.ecu_serial,
        Did.VIN: "",
        Did.HARDWARE: identity.hardware,
        Did.SOFTWARE: identity.software,
        Did.SOFTWARE_VERSION: identity.software_version,
        Did.DIAGNOSTIC_VERSION: "0001",
        Did.PACK_SERIAL: identity.pack_serial,
        Did.TRACEABILITY: "",
        Did.FUNCTIONAL_NUMBER: "",
    }
    memory = {did: TEXTS[did].encode(text) for did, text in texts.items()}

    def write_vin(data: bytes) -> bool:
        if not (data.isalnum() or not data.strip()):
            return False
        memory[Did.VIN] = data
        return True

    def text(did: Did) -> Entry:
        if did is Did.VIN:
            return Entry(lambda: memory[did], write_vin, TEXTS[did].length, EXTENDED, secured=True)
        return Entry(lambda: memory[did])

    return {did: text(did) for did in memory}


def measurements(
    front_end: FrontEnd, monitor: InsulationMonitor, state: BmsState, now: Callable[[], float]
) -> dict[int, Entry]:
    """Identifiers that say what the unit measures, at the moment of the request."""

    def soc() -> float:
        return float(np.interp(float(np.nanmean(front_end.cell_v(now()))), OCV_V, OCV_PERCENT))

    def cell(index: int) -> Entry:
        return Entry(lambda: dids.CELL_VOLTAGE.encode(_number(front_end.cell_v(now())[index])))

    def thermistor(index: int) -> Entry:
        return Entry(lambda: dids.TEMPERATURE.encode(_number(front_end.temperature_c(now())[index])))

    def busbar(index: int) -> Entry:
        return Entry(lambda: dids.BUSBAR_VOLTAGE.encode(float(front_end.busbar_v(now())[index])))

    celsius, volts = dids.TEMPERATURE, dids.CELL_VOLTAGE
    entries: dict[int, Entry] = {
        Did.SOC: Entry(lambda: dids.PERCENT.encode(soc())),
        Did.USABLE_SOC: Entry(lambda: dids.PERCENT.encode(soc())),
        Did.SOH: Entry(lambda: dids.PERCENT.encode(100.0)),
        Did.PACK_VOLTAGE: Entry(lambda: dids.PACK_VOLTAGE.encode(front_end.taps(now()).u_batt)),
        Did.CELL_VOLTAGE_MAX: Entry(lambda: volts.encode(float(np.nanmax(front_end.cell_v(now()))))),
        Did.CELL_VOLTAGE_MIN: Entry(lambda: volts.encode(float(np.nanmin(front_end.cell_v(now()))))),
        Did.TEMPERATURE_MEAN: Entry(lambda: celsius.encode(float(np.nanmean(front_end.temperature_c(now()))))),
        Did.TEMPERATURE_MIN: Entry(lambda: celsius.encode(float(np.nanmin(front_end.temperature_c(now()))))),
        Did.TEMPERATURE_MAX: Entry(lambda: celsius.encode(float(np.nanmax(front_end.temperature_c(now()))))),
        Did.INSULATION: Entry(lambda: dids.INSULATION.encode(monitor.read(now()).resistance_ohm)),
        Did.INTERLOCK: Entry(lambda: bytes((Hvil.CLOSED,))),
        Did.CURRENT: Entry(lambda: dids.CURRENT.encode(front_end.current_a(now()))),
        Did.BALANCING: Entry(lambda: state.balancing.to_bytes(-(-front_end.series // 8))),
        Did.OPERATING_STATE: Entry(lambda: bytes((state.operating,))),
    }
    entries.update({cell_did(index + 1): cell(index) for index in range(front_end.series)})
    entries.update({Did.TEMPERATURE_FIRST + index: thermistor(index) for index in range(front_end.thermistors)})
    entries.update({Did.BUSBAR_FIRST + index: busbar(index) for index in range(front_end.busbars)})
    return entries


def controls(
    settings: BmsSettings,
    state: BmsState,
    monitor: InsulationMonitor,
    bypass_changed: Callable[[], None],
    switch_monitor: Callable[[bool], None],
) -> dict[int, Entry]:
    """Identifiers that change what the unit does.

    `bypass_changed` is called after a relay was taken or given back, `switch_monitor` to start and stop the
    insulation monitor.
    """

    def bypass(did: Did) -> Entry:
        def write(data: bytes) -> bool:
            if data[0] > 1:
                return False
            (settings.bypassed.add if data[0] else settings.bypassed.discard)(did)
            bypass_changed()
            return True

        return Entry(lambda: bytes((did in settings.bypassed,)), write, 1, SUPPLIER, secured=True)

    def driver(relay: Relay) -> Entry:
        return Entry(lambda: bytes((relay in state.coils,)))

    def write_insulation(data: bytes) -> bool:
        if data[0] > 1:
            return False
        switch_monitor(not data[0])
        return True

    def write_delay(data: bytes) -> bool:
        delay_s = dids.SLEEP_DELAY.decode(data)
        if delay_s is None or not SLEEP_DELAY_MIN_S <= delay_s <= SLEEP_DELAY_MAX_S:
            return False
        settings.sleep_delay_s = delay_s
        return True

    entries: dict[int, Entry] = {did: bypass(did) for did in RELAY_BYPASS.values()}
    entries.update({did: driver(relay) for relay, did in RELAY_DRIVER.items()})
    entries[Did.INSULATION_BYPASS] = Entry(
        lambda: bytes((not monitor.on,)), write_insulation, 1, SUPPLIER, secured=True
    )
    entries[Did.SLEEP_DELAY] = Entry(
        lambda: dids.SLEEP_DELAY.encode(settings.sleep_delay_s), write_delay, dids.SLEEP_DELAY.length, EXTENDED
    )
    return entries


def bitmap(table: Mapping[int, Entry], did: int) -> bytes:
    """Which of the 32 identifiers after `did` there are, the next one first; bitmaps count."""
    bits = 0
    for successor in range(did + 1, did + 33):
        bits = bits << 1 | (successor in table or (dids.is_bitmap(successor) and _page_used(table, successor)))
    return bits.to_bytes(4)


def _page_used(table: Mapping[int, Entry], did: int) -> bool:
    return any(successor in table for successor in range(did + 1, did + 32))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
