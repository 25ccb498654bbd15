"""What a controlling client may ask of a channel.

A request is `{"do": …}` with the arguments of `hil.hub.control.HubControl`'s method of that name; the reply
is `{"ok": …}` or `{"error": text}`, and then nothing was changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil.hub import packets
from hil.hub.packets import PacketInvalid

if TYPE_CHECKING:
    from hil.hub.channel import Channel

RATE_MAX = 20_000
"""Frames per second that the hub sends by itself: five times a full classic bus at 500 kbit/s."""
EVERY_MAX = 1_000_000
BEHIND_MAX = 1000
"""Frames of each id kept for a second controller."""
DELAY_US_MAX = 60_000_000


class Requests:
    """Carries out requests on one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def answer(self, packet: bytes) -> bytes:
        """The reply packet to a request packet."""
        reply = packets.document(packets.REPLY, self._answer(packet))
        if len(reply) > packets.REPLY_MAX:
            return packets.document(packets.REPLY, {"error": "the reply is too long"})
        return reply

    def _answer(self, packet: bytes) -> dict[str, Any]:
        try:
            request = packets.read_document(packet)
            if request.get("do") == "traffic":
                return {"ok": self._channel.traffic()}
            if "name" in request:
                self._disturb_node(request)
            else:
                self._disturb_channel(request)
        except PacketInvalid as error:
            return {"error": str(error)}
        return {"ok": None}

    def _disturb_channel(self, request: dict[str, Any]) -> None:
        match request.get("do"):
            case "swap_lines":
                self._channel.swap_lines(_switch(request))
            case "load":
                self._channel.load(_count(request, "frames_per_s", RATE_MAX), _can_id(request))
            case what:
                raise PacketInvalid(f"{what!r} is nothing that can be done to a channel")

    def _disturb_node(self, request: dict[str, Any]) -> None:
        node = self._channel.known(str(request["name"]))
        match request.get("do"):
            case "bus_off":
                self._channel.bus_off(node, _switch(request))
            case "mute":
                node.muted = _switch(request)
            case "drop_every":
                node.drop_every(_count(request, "n", EVERY_MAX))
            case "corrupt":
                node.corrupt(_count(request, "n", EVERY_MAX))
            case "repeat":
                key = packets.EXTENDED_KEY if _switch(request, "extended") else 0
                node.repeat(_can_id(request) | key, _switch(request))
            case "duplicate_of":
                node.duplicate_of(_count(request, "frames_behind", BEHIND_MAX))
            case "delay":
                node.delay_ns = 1000 * _count(request, "us", DELAY_US_MAX)
            case what:
                raise PacketInvalid(f"{what!r} is nothing that can be done to a client")
        node.settle()


def _switch(request: dict[str, Any], key: str = "on") -> bool:
    value = request.get(key)
    if not isinstance(value, bool):
        raise PacketInvalid(f"{key} must be true or false, not {value!r}")
    return value


def _count(request: dict[str, Any], key: str, most: int) -> int:
    value = request.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise PacketInvalid(f"{key} must be a whole number from 0 to {most}, not {value!r}")
    return value


def _can_id(request: dict[str, Any]) -> int:
    return _count(request, "can_id", packets.EXTENDED_ID_MAX)
