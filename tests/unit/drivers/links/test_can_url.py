"""A CAN bus by URL: what opens, what is refused, and what the refusal tells to do."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import Any

import can
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bmsctl.drivers.links import can_url
from bmsctl.drivers.links.can_url import CanUrl, open_bus, parse
from bmsctl.errors import LinkDown


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What python-can is asked to open, instead of being asked."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(can, "Bus", lambda **arguments: calls.append(arguments))
    return calls


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let python-can raise this."""

    def fail(**arguments: Any) -> None:
        raise error

    monkeypatch.setattr(can, "Bus", fail)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("socketcan://vcan0?fd=true&bitrate=500000", CanUrl("socketcan", "vcan0", {"fd": True, "bitrate": 500000})),
        ("pcan://PCAN_USBBUS1?bitrate=500000", CanUrl("pcan", "PCAN_USBBUS1", {"bitrate": 500000})),
        ("kvaser://0", CanUrl("kvaser", "0", {})),
        ("vector://0?app_name=Pack", CanUrl("vector", "0", {"app_name": "Pack"})),
        ("slcan:///dev/ttyACM0", CanUrl("slcan", "/dev/ttyACM0", {})),
        (
            "bench:///run/x/pack.can?name=station&fd=true",
            CanUrl("bench", "/run/x/pack.can", {"name": "station", "fd": True}),
        ),
    ],
)
def test_a_url_is_interface_channel_and_options(url: str, taken: CanUrl) -> None:
    assert parse(url) == taken


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("kvaser://0?bitrate=500000", {"interface": "kvaser", "channel": 0, "bitrate": 500000}),
        ("vector://1?app_name=Pack", {"interface": "vector", "channel": 1, "app_name": "Pack"}),
        ("pcan://PCAN_USBBUS1", {"interface": "pcan", "channel": "PCAN_USBBUS1"}),
        ("slcan:///dev/ttyACM0", {"interface": "slcan", "channel": "/dev/ttyACM0", "sleep_after_open": 0}),
        ("virtual://p", {"interface": "virtual", "channel": "p", "protocol": can.CanProtocol.CAN_20}),
        ("virtual://p?fd=true", {"interface": "virtual", "channel": "p", "protocol": can.CanProtocol.CAN_FD}),
    ],
)
def test_each_interface_gets_its_arguments(url: str, arguments: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    open_bus(url)
    assert asked == [{**arguments, "ignore_config": True}]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("vcan0", "no URL of a CAN bus"),
        ("socketcan://", "no URL of a CAN bus"),
        ("virtual://pack#x", "no URL of a CAN bus"),
        ("virtual://[", "no URL of a CAN bus"),
        ("virtual://pack?fd", "no URL of a CAN bus"),
        ("nosuch://x", "there is no CAN interface nosuch; there are .*socketcan"),
        ("udp_multicast://239.0.0.1", "udp_multicast is refused"),
        ("virtual://pack?receive_own_messages=true", "receive_own_messages is refused"),
        ("virtual://pack?bitrat=500000", "virtual has no option bitrat; it has bitrate, "),
        ("socketcan://vcan0?loopback=true", "socketcan has no option loopback"),
        ("virtual://pack?fd=true&fd=false", "given twice"),
        ("virtual://pack?fd=no", "fd=no is neither true nor false"),
        ("pcan://PCAN_USBBUS1", "PCAN-Basic"),
        ("kvaser://0", "linuxcan.*kvaser_usb"),
        ("vector://0?app_name=Pack", "Windows only"),
        ("slcan:///dev/no-such-adapter", "there is no /dev/no-such-adapter"),
    ],
)
def test_what_cannot_be_opened_says_why_and_what_to_do(url: str, told: str) -> None:
    with pytest.raises(LinkDown, match=told) as raised:
        open_bus(url)
    assert raised.value.device == url


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NameError("name 'canOpenChannel' is not defined"), "install the driver of ixxat|socketcan"),
        (can.CanInterfaceNotImplementedError("no driver"), "socketcan"),
        (can.CanInitializationError("no such channel"), "no such channel"),
        (OSError("library not found"), "library not found"),
        (TypeError("unexpected keyword argument 'bitrat'"), "bitrat"),
        (PermissionError(errno.EACCES, "Permission denied"), "no permission for X.*group"),
    ],
)
def test_whatever_a_driver_raises_becomes_link_down(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(LinkDown, match=told) as raised:
        open_bus("ixxat://X")
    assert raised.value.__cause__ is error


def test_an_slcan_adapter_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**arguments: Any) -> None:
        raise can.CanInitializationError("could not open port") from PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(can, "Bus", fail)
    with pytest.raises(LinkDown, match="group dialout"):
        open_bus("slcan:///dev/ttyACM0")


def test_a_kernel_without_can_names_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_can(*arguments: int) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(can_url.socket, "socket", no_can)
    with pytest.raises(LinkDown, match="modprobe can_raw"):
        open_bus("socketcan://can0")


class TestNetworkInterface:
    """What is looked at before a socket is bound."""

    @pytest.fixture(autouse=True)
    def kernel(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[dict[str, Any]]) -> None:
        class Raw:
            def close(self) -> None:
                """Nothing was opened."""

        monkeypatch.setattr(can_url.socket, "socket", lambda *arguments: Raw())
        monkeypatch.setattr(can_url, "_NET", tmp_path)
        self.net, self.asked = tmp_path, asked

    def interface(self, flags: int, mtu: int, carrier: int = 1) -> None:
        (self.net / "can0").mkdir()
        (self.net / "can0/carrier").write_text(f"{carrier}\n")
        (self.net / "can0/flags").write_text(f"{flags:#x}\n")
        (self.net / "can0/mtu").write_text(f"{mtu}\n")

    def test_one_that_is_up_is_opened_and_bit_rates_are_left_to_it(self) -> None:
        self.interface(0x10C1, 72)
        open_bus("socketcan://can0?fd=true&bitrate=500000&data_bitrate=2000000")
        assert self.asked == [{"interface": "socketcan", "channel": "can0", "fd": True, "ignore_config": True}]

    def test_one_that_is_missing_says_how_to_make_one(self) -> None:
        with pytest.raises(LinkDown, match=r"no network interface can0.*ip link add can0 type vcan"):
            open_bus("socketcan://can0")

    def test_one_that_is_down_says_how_to_set_it_up(self) -> None:
        self.interface(0x10C0, 16)
        with pytest.raises(LinkDown, match="can0 is down; sudo ip link set can0 up"):
            open_bus("socketcan://can0")

    def test_one_that_is_bus_off_says_how_to_restart_it(self) -> None:
        self.interface(0x10C1, 16, carrier=0)
        with pytest.raises(LinkDown, match=r"bus-off; .*ip link set can0 type can restart"):
            open_bus("socketcan://can0")

    def test_one_that_is_classic_is_not_opened_for_fd(self) -> None:
        self.interface(0x10C1, 16)
        with pytest.raises(LinkDown, match="classic CAN"):
            open_bus("socketcan://can0?fd=true")
        open_bus("socketcan://can0")
        assert len(self.asked) == 1


@given(st.text() | st.from_regex(r"[a-z]{0,9}://[^ ]{0,9}\?[^ ]{0,9}"))
@example("virtual://pack?bitrate=" + "9" * 5000)
def test_no_text_does_anything_but_parse_or_link_down(text: str) -> None:
    with suppress(LinkDown):
        taken = parse(text)
        assert taken.interface
        assert taken.channel
