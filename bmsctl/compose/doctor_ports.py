"""CAN adapters and serial ports: what the kernel has, and whether each port of the station file is there for us.

CAN buses are opened and closed again, which nobody on the bus notices; serial ports are only looked at, because
opening one resets some devices.
"""

from __future__ import annotations

import grp
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bmsctl.compose.check import Check, State, good
from bmsctl.compose.seed_keys import seed_key
from bmsctl.compose.station_file import CanPort, SerialPort, StationFile
from bmsctl.errors import LinkDown, Refused

CONNECT_WITHIN_S = 1.0
TELL_WITHIN_S = 5.0
SERIAL_GROUP = "dialout"
LIBRARIES = {"pcan": "pcanbasic", "kvaser": "canlib"}
"""Libraries of adapters' makers, by the interface of python-can that needs them."""


def checks(station: StationFile | None) -> Iterator[Check]:
    """All of them; without a station file only those of the computer."""
    uses_kernel_can = station is not None and any(urlsplit(port.url).scheme == "socketcan" for port in station.can)
    yield kernel_can(kernel_can_error(), needed=uses_kernel_can)
    yield drivers()
    yield user(os.geteuid(), _group_names())
    if station is None:
        return
    for bus in station.can:
        opens = can_bus(bus)
        yield opens
        if opens.state is State.GOOD and urlsplit(bus.url).scheme == "socketcan":
            yield bit_rate(bus, link_details(urlsplit(bus.url).netloc))
    for line in station.serial.values():
        yield serial_port(line)
    yield key(station.seed_key)


def kernel_can_error() -> str:
    """Why the kernel gives no CAN socket; empty if it does."""
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def kernel_can(error: str, needed: bool) -> Check:
    """Has the kernel CAN sockets?"""
    if not error:
        return good("kernel CAN", "AF_CAN sockets can be made")
    remedy = "run sudo modprobe can_raw; if there is no such module, install a kernel that has CAN"
    return Check("kernel CAN", State.BAD if needed else State.WARN, f"none ({error})", remedy)


def drivers() -> Check:
    """Which adapters can be spoken to, besides those of the kernel?"""
    there = [name for name, library in LIBRARIES.items() if find_library(library)]
    return good("CAN drivers", ", ".join([*there, "slcan"]))


def user(user_id: int, groups: frozenset[str]) -> Check:
    """May this user open serial ports, and leaves root alone?"""
    if user_id == 0:
        remedy = (
            f"run stations as a user of their own, in the group {SERIAL_GROUP}; files that root makes are locked to it"
        )
        return Check("user", State.WARN, "root", remedy)
    if SERIAL_GROUP in groups:
        return good("user", f"in the group {SERIAL_GROUP}")
    remedy = f"run sudo usermod -aG {SERIAL_GROUP} USER, then log in again"
    return Check("user", State.WARN, f"not in the group {SERIAL_GROUP}", remedy)


def _group_names() -> frozenset[str]:
    known = {group.gr_gid: group.gr_name for group in grp.getgrall()}
    return frozenset(known.get(number, str(number)) for number in {os.getegid(), *os.getgroups()})


def can_bus(port: CanPort) -> Check:
    """Can the bus be opened?"""
    from bmsctl.drivers.links.can_url import open_bus

    name = f"can.{port.name}"
    try:
        open_bus(port.url).shutdown()
    except LinkDown as error:
        return Check(name, State.BAD, port.url, str(error).removeprefix(f"{port.url}: "))
    return good(name, f"{port.url} opens")


def link_details(interface: str) -> dict[str, Any] | None:
    """What `ip` says of a network interface; None if it does not."""
    ip = shutil.which("ip")
    if ip is None:
        return None
    command = [ip, "-json", "-details", "link", "show", "dev", interface]
    try:
        said = subprocess.run(command, capture_output=True, timeout=TELL_WITHIN_S, check=True).stdout
        return next((entry for entry in json.loads(said) if entry), None)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None


def bit_rate(port: CanPort, details: dict[str, Any] | None) -> Check:
    """Does the interface run at the speed that the station file says?"""
    name = f"can.{port.name} speed"
    wanted = next((item[8:] for item in urlsplit(port.url).query.split("&") if item.startswith("bitrate=")), "")
    info = (details or {}).get("linkinfo", {})
    if info.get("info_kind") in ("vcan", "vxcan"):
        return good(name, "a virtual bus has none")
    found = info.get("info_data", {}).get("bittiming", {}).get("bitrate")
    if found is None:
        remedy = "install iproute2, and look with ip -details link show"
        return Check(name, State.WARN, "not known", remedy)
    if wanted and str(found) != wanted:
        interface = urlsplit(port.url).netloc
        remedy = (
            f"run sudo ip link set {interface} down, then sudo ip link set {interface} up type can bitrate {wanted}"
        )
        return Check(name, State.BAD, f"{found} bit/s, the station file says {wanted}", remedy)
    return good(name, f"{found} bit/s")


def serial_port(line: SerialPort) -> Check:
    """Is the port there, and free for us?"""
    name = f"serial.{line.device}"
    if "://" in line.port:
        return _server(name, line.port)
    path = Path(line.port)
    if not path.exists():
        return Check(
            name, State.BAD, f"there is no {path}", "plug the adapter in; ls -l /dev/serial/by-id shows what is there"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        remedy = f"run sudo usermod -aG {SERIAL_GROUP} USER, then log in again"
        return Check(name, State.BAD, f"no permission for {path}", remedy)
    return _free(name, path)


def _free(name: str, path: Path) -> Check:
    from bmsctl.drivers.links.device_files import holders

    users = holders(str(path))
    if users:
        return Check(name, State.WARN, f"{path} is in use by {', '.join(users)}", "end it before a station starts")
    if path.name.startswith(("ttyUSB", "ttyACM")):
        remedy = "name it by /dev/serial/by-id: these numbers change whenever something is plugged in"
        return Check(name, State.WARN, str(path), remedy)
    return good(name, str(path))


def _server(name: str, url: str) -> Check:
    """A serial line over the network."""
    remedy = "check that the device is on, its cable and its address; write socket://HOST:PORT"
    try:
        parts = urlsplit(url)
        if parts.scheme != "socket" or parts.hostname is None or parts.port is None:
            return Check(name, State.BAD, f"{url} names no host and port", remedy)
        socket.create_connection((parts.hostname, parts.port), CONNECT_WITHIN_S).close()
    except (OSError, ValueError) as error:
        return Check(name, State.BAD, f"{url}: {error}", remedy)
    return good(name, f"{url} answers")


def key(name: str) -> Check:
    """Is the algorithm of the BMS's security access installed?"""
    try:
        seed_key(name)
    except Refused as error:
        return Check("seed key", State.BAD, name, str(error))
    return good("seed key", name)
