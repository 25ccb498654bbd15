"""A CAN bus by URL, for every interface of python-can: `INTERFACE://CHANNEL?OPTION=VALUE&…`.

    socketcan://can0?fd=true        pcan://PCAN_USBBUS1?bitrate=500000    kvaser://0?bitrate=500000
    slcan:///dev/ttyACM0            vector://0?app_name=Pack              virtual://pack?fd=true

Options are those of the interface's bus class. The bit rates of a socketcan interface are set by `ip link`; given
here they are for the reader. python-can's configuration files and environment variables are not read.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from bmsctl.drivers.links import device_files
from bmsctl.drivers.links.can_reader import CANFD_MTU
from bmsctl.errors import LinkDown

if TYPE_CHECKING:
    import can

NUMBERED = {"vector", "kvaser"}
"""Interfaces whose channels are numbers."""

OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "socketcan": frozenset({"fd", "bitrate", "data_bitrate"}),
        "virtual": frozenset({"fd", "bitrate", "data_bitrate"}),
        "slcan": frozenset({"bitrate", "tty_baudrate", "rtscts", "listen_only"}),
    }
)
"""Options of interfaces whose bus class ignores one it does not know, so that a misspelt one would pass."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "udp_multicast": "it sends to the network; use bench or virtual",
        "receive_own_messages": "a station never takes its own frames for another's; leave it out",
    }
)

DRIVERS: Mapping[str, str] = MappingProxyType(
    {
        "pcan": "install PEAK's PCAN-Basic library, or use the adapter as socketcan (kernel module peak_usb)",
        "kvaser": "install Kvaser's linuxcan with CANlib, or use the adapter as socketcan (kernel module kvaser_usb)",
        "vector": "the XL driver library exists for Windows only; use another adapter",
        "ixxat": "the VCI driver exists for Windows only; use the adapter as socketcan",
        "gs_usb": "install the Python package gs_usb, or use the adapter as socketcan (kernel module gs_usb)",
        "bench": "start the hub first (python -m hil up)",
        "slcan": "check the adapter",
    }
)
"""What to do when an interface does not open, by its name."""

_NET = Path("/sys/class/net")
_IFF_UP = 1


class CanUrl(NamedTuple):
    """A URL taken apart."""

    interface: str
    channel: str
    options: dict[str, str | int | float | bool]


def parse(url: str) -> CanUrl:
    """Take a URL apart.

    Raises:
        LinkDown: it is none, or one that no station uses.
    """
    from can.util import cast_from_string

    # Names of interfaces have underscores, which urlsplit takes for no scheme.
    interface, _, rest = url.partition("://")
    try:
        parts = urlsplit(f"//{rest}")
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        options = {name: cast_from_string(value) for name, value in pairs}
    except ValueError as error:
        raise LinkDown(url, f"this is no URL of a CAN bus ({error}); {_EXAMPLE}") from None
    channel = unquote(parts.netloc + parts.path)
    if not interface or not channel or parts.fragment:
        raise LinkDown(url, f"this is no URL of a CAN bus; {_EXAMPLE}")
    for name in (interface, *options):
        if name in REFUSED:
            raise LinkDown(url, f"{name} is refused: {REFUSED[name]}")
    if len(options) != len(pairs):
        raise LinkDown(url, "an option is given twice; leave one out")
    if not isinstance(options.get("fd", False), bool):
        raise LinkDown(url, f"fd={options['fd']} is neither true nor false")
    unknown = sorted(set(options) - OPTIONS.get(interface, frozenset(options)))
    if unknown:
        known = ", ".join(sorted(OPTIONS[interface]))
        raise LinkDown(url, f"{interface} has no option {unknown[0]}; it has {known}")
    return CanUrl(interface, channel, options)


def open_bus(url: str) -> can.BusABC:
    """Open the bus that a URL names.

    Raises:
        LinkDown: it cannot be opened; the text says why and which package, kernel module or group is missing.
    """
    import can

    interface, channel, options = parse(url)
    if interface not in can.VALID_INTERFACES:
        known = ", ".join(sorted(can.VALID_INTERFACES))
        raise LinkDown(url, f"there is no CAN interface {interface}; there are {known}, or install what provides it")
    if interface == "socketcan":
        _require_up(url, channel, bool(options.get("fd")))
    try:
        return can.Bus(
            interface=interface,
            channel=_channel(interface, channel),
            ignore_config=True,
            **_arguments(interface, options),
        )
    except Exception as error:  # Drivers that are missing or half installed raise anything, NameError included.
        raise LinkDown(url, _why(interface, channel, error)) from error


_EXAMPLE = "write INTERFACE://CHANNEL?OPTION=VALUE, for example socketcan://can0?fd=true"


def _channel(interface: str, channel: str) -> str | int:
    return int(channel) if interface in NUMBERED and channel.isdecimal() else channel


def _arguments(interface: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the bus class is to be given."""
    from can import CanProtocol

    if interface == "socketcan":
        return {"fd": bool(options.get("fd"))}
    if interface == "virtual":
        return {"protocol": CanProtocol.CAN_FD if options.get("fd") else CanProtocol.CAN_20}
    if interface == "slcan":
        return {**options, "sleep_after_open": 0}
    return dict(options)


def _require_up(url: str, name: str, fd: bool) -> None:
    """Refuse a network interface that is missing, down, or too small for the frames: sockets only tell later."""
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError as error:
        raise LinkDown(
            url, f"this kernel has no CAN ({error}); sudo modprobe can_raw, on a kernel that has it"
        ) from error
    folder = _NET / name
    try:
        flags, mtu = int((folder / "flags").read_text(), 16), int((folder / "mtu").read_text())
    except (OSError, ValueError):
        raise LinkDown(
            url,
            f"there is no network interface {name}; plug the adapter in and load its kernel module, "
            f"or for a virtual one: sudo modprobe vcan; sudo ip link add {name} type vcan",
        ) from None
    if not flags & _IFF_UP:
        raise LinkDown(
            url, f"the interface {name} is down; sudo ip link set {name} up (with type can bitrate … for an adapter)"
        )
    # The kernel takes the carrier away from a controller that is bus-off, and says so to no socket opened later.
    if (folder / "carrier").read_text().strip() == "0":
        raise LinkDown(
            url,
            f"the controller of {name} is bus-off; check termination, wiring and bit rate, "
            f"then: sudo ip link set {name} type can restart",
        )
    if fd and mtu < CANFD_MTU:
        raise LinkDown(
            url, f"the interface {name} is set to classic CAN; sudo ip link set {name} down, then up with fd on"
        )


def _why(interface: str, channel: str, error: Exception) -> str:
    """The reason, and what to do."""
    number = _errno(error)
    if interface == "slcan" and number is not None:
        return device_files.trouble(channel, number, str(error))
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission for {channel}; run as its owner, or add this user to the group that owns it"
    remedy = DRIVERS.get(interface, f"install the driver of {interface} and what python-can needs for it")
    return f"{interface} does not open ({error}); {remedy}"


def _errno(error: BaseException | None) -> int | None:
    """The error number at the root of an exception."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
