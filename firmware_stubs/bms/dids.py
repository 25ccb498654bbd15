"""The BMS's data identifiers: what each reads, and what may be written in which session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bmsctl.domain.ports import BmsIdentity, Relay
from bmsctl.protocols import dids
from bmsctl.protocols.bms_broadcast import Hvil
from bmsctl.protocols.dids import RELAY_BYPASS, RELAY_DRIVER, TEXTS, Did, cell_did, temperature_did
from bmsctl.protocols.firmware_image import ImageHeader
from bmsctl.protocols.uds import Session
from firmware_stubs.bms.broadcast import BmsState
from firmware_stubs.bms.condition import BmsCondition
from firmware_stubs.bms.sensors import Sensors
from firmware_stubs.bms.takeover import Takeover
from firmware_stubs.noise import draw
from firmware_stubs.population import CHIP_CHANNELS

DEFAULT_SLEEP_DELAY_S = 25.0
SLEEP_DELAY_MIN_S, SLEEP_DELAY_MAX_S = 1.0, 600.0

EXTENDED = frozenset({Session.EXTENDED, Session.SUPPLIER})
SUPPLIER = frozenset({Session.SUPPLIER})


@dataclass(frozen=True, slots=True)
class Entry:
    """One identifier. `write` returns False for a value out of range; None: it cannot be written. `flash`: writing
    takes the time of non-volatile memory."""

    read: Callable[[], bytes]
    write: Callable[[bytes], bool] | None = None
    length: int = 0
    sessions: frozenset[Session] = frozenset()
    secured: bool = False
    flash: bool = False


@dataclass
class BmsSettings:
    """What a tester can change for good; kept in non-volatile memory."""

    sleep_delay_s: float = DEFAULT_SLEEP_DELAY_S


def identification(identity: BmsIdentity, software: Callable[[], ImageHeader | None]) -> dict[int, Entry]:
    """Identifiers that say what the unit is. VIN and traceability number are blank and can be written.

    `software`: what has been flashed; without, its identifiers are erased memory.
    """
    texts = {
        Did.REVISION: "AB",
        Did.BOOT_SOFTWARE: "BOOT0100",
        Did.PART_NUMBER: identity.part_number,
        Did.SUPPLIER: "AMPR",
        Did.ECU_SERIAL: identity.ecu_serial,
        Did.VIN: "",
        Did.HARDWARE: identity.hardware,
        Did.DIAGNOSTIC_VERSION: "0001",
        Did.PACK_SERIAL: identity.pack_serial,
        Did.TRACEABILITY: "",
        Did.FUNCTIONAL_NUMBER: "",
    }
    memory = {did: TEXTS[did].encode(text) for did, text in texts.items()}

    def writable(did: Did, valid: Callable[[bytes], bool]) -> Entry:
        def write(data: bytes) -> bool:
            if not valid(data):
                return False
            memory[did] = data
            return True

        return Entry(lambda: memory[did], write, TEXTS[did].length, EXTENDED, secured=True, flash=True)

    def text(did: Did) -> Entry:
        return Entry(lambda: memory[did])

    def flashed(did: Did, of: Callable[[ImageHeader], str]) -> Entry:
        def read() -> bytes:
            header = software()
            return TEXTS[did].length * b"\xff" if header is None else TEXTS[did].encode(of(header))

        return Entry(read)

    entries: dict[int, Entry] = {did: text(did) for did in memory}
    entries[Did.ECU_SOFTWARE] = flashed(Did.ECU_SOFTWARE, lambda header: header.software)
    entries[Did.SOFTWARE] = flashed(Did.SOFTWARE, lambda header: header.software)
    entries[Did.SOFTWARE_VERSION] = flashed(Did.SOFTWARE_VERSION, lambda header: header.software_version)
    entries[Did.CALIBRATION] = flashed(Did.CALIBRATION, lambda header: header.calibration)
    entries[Did.VIN] = writable(Did.VIN, lambda data: data.isalnum() or not data.strip())
    entries[Did.TRACEABILITY] = writable(Did.TRACEABILITY, lambda data: all(0x20 <= byte < 0x7F for byte in data))
    return entries


def measurements(sensors: Sensors, state: BmsState, now: Callable[[], float]) -> dict[int, Entry]:
    """Identifiers that say what the unit measures, at the moment of the request."""
    front_end, charge = sensors.front_end, sensors.charge

    def cell(index: int) -> Entry:
        return Entry(lambda: dids.CELL_VOLTAGE.encode(_number(front_end.cell_v(now())[index])))

    def thermistor(index: int) -> Entry:
        return Entry(lambda: dids.TEMPERATURE.encode(_number(front_end.temperature_c(now())[index])))

    def busbar(index: int) -> Entry:
        return Entry(lambda: dids.BUSBAR_VOLTAGE.encode(float(front_end.busbar_v(now())[index])))

    celsius, volts = dids.TEMPERATURE, dids.CELL_VOLTAGE
    entries: dict[int, Entry] = {
        Did.SOC: Entry(lambda: dids.PERCENT.encode(charge.percent(now()))),
        Did.USABLE_SOC: Entry(lambda: dids.PERCENT.encode(charge.percent(now()))),
        Did.SOH: Entry(lambda: dids.PERCENT.encode(100.0)),
        Did.PACK_VOLTAGE: Entry(lambda: dids.PACK_VOLTAGE.encode(front_end.taps(now()).u_batt)),
        Did.CELL_VOLTAGE_MAX: Entry(lambda: volts.encode(float(np.nanmax(front_end.cell_v(now()))))),
        Did.CELL_VOLTAGE_MIN: Entry(lambda: volts.encode(float(np.nanmin(front_end.cell_v(now()))))),
        Did.TEMPERATURE_MEAN: Entry(lambda: celsius.encode(float(np.nanmean(front_end.temperature_c(now()))))),
        Did.TEMPERATURE_MIN: Entry(lambda: celsius.encode(float(np.nanmin(front_end.temperature_c(now()))))),
        Did.TEMPERATURE_MAX: Entry(lambda: celsius.encode(float(np.nanmax(front_end.temperature_c(now()))))),
        Did.INSULATION: Entry(lambda: dids.INSULATION.encode(sensors.monitor.read(now()).resistance_ohm)),
        Did.INTERLOCK: Entry(lambda: bytes((Hvil.CLOSED if sensors.interlock.closed(now()) else Hvil.OPEN,))),
        Did.CHARGE: Entry(lambda: dids.CHARGE.encode(charge.charge_ah(now()))),
        Did.CURRENT: Entry(lambda: dids.CURRENT.encode(front_end.current_a(now()))),
        Did.OPERATING_STATE: Entry(lambda: bytes((state.operating,))),
    }
    entries.update({cell_did(index + 1): cell(index) for index in range(front_end.series)})
    entries.update({temperature_did(index + 1): thermistor(index) for index in range(front_end.thermistors)})
    entries.update({Did.BUSBAR_FIRST + index: busbar(index) for index in range(front_end.busbars)})
    return entries


def daisy_chain(series: int, condition: BmsCondition, seed: int) -> dict[int, Entry]:
    """The identifier of the monitoring chips, as the unit found them when it was woken."""
    chips = -(-series // CHIP_CHANNELS)
    numbers = draw(seed, "bms.chips").choice(10**6, chips, replace=False)
    cells = [min(CHIP_CHANNELS, series - CHIP_CHANNELS * index) for index in range(chips)]
    for chip, found in condition.chip_cells.items():
        cells[chip - 1] = found
    chain = [(f"MC{number:06d}", count) for number, count in zip(numbers, cells, strict=True)]
    if condition.chips_swapped is not None:
        a, b = (chip - 1 for chip in condition.chips_swapped)
        chain[a], chain[b] = chain[b], chain[a]
    return {Did.CHIPS: Entry(lambda: dids.encode_chips(chain))}


def controls(takeover: Takeover, settings: BmsSettings, state: BmsState, sensors: Sensors) -> dict[int, Entry]:
    """Identifiers that change what the unit does."""
    front_end = sensors.front_end
    bitmap_length = -(-front_end.series // 8)

    def flag(read: Callable[[], bool], write: Callable[[bool], None]) -> Entry:
        def write_flag(data: bytes) -> bool:
            if data[0] > 1:
                return False
            write(bool(data[0]))
            return True

        return Entry(lambda: bytes((read(),)), write_flag, 1, SUPPLIER, secured=True)

    def bypass(did: Did) -> Entry:
        return flag(lambda: did in takeover.bypassed, lambda taken: takeover.relay(did, taken))

    def driver(relay: Relay) -> Entry:
        return Entry(lambda: bytes((relay in state.coils,)))

    def write_balancing(data: bytes) -> bool:
        takeover.balance(int.from_bytes(data))
        return True

    def write_delay(data: bytes) -> bool:
        delay_s = dids.SLEEP_DELAY.decode(data)
        if delay_s is None or not SLEEP_DELAY_MIN_S <= delay_s <= SLEEP_DELAY_MAX_S:
            return False
        settings.sleep_delay_s = delay_s
        return True

    entries: dict[int, Entry] = {did: bypass(did) for did in RELAY_BYPASS.values()}
    entries.update({did: driver(relay) for relay, did in RELAY_DRIVER.items()})
    entries[Did.INSULATION_BYPASS] = flag(lambda: not sensors.monitor.on, lambda off: takeover.monitor(not off))
    entries[Did.DIVIDER_BYPASS] = flag(lambda: not front_end.dividers, lambda off: takeover.dividers(not off))
    entries[Did.BALANCING] = Entry(
        lambda: state.balancing.to_bytes(bitmap_length), write_balancing, bitmap_length, SUPPLIER, secured=True
    )
    entries[Did.SLEEP_DELAY] = Entry(
        lambda: dids.SLEEP_DELAY.encode(settings.sleep_delay_s),
        write_delay,
        dids.SLEEP_DELAY.length,
        EXTENDED,
        flash=True,
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
