"""One channel: every frame goes to every other client, in one order for all, except as a disturbance has it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from hil.hub import packets
from hil.hub.connection import Connection
from hil.hub.flood import Flood
from hil.hub.node import Node
from hil.hub.packets import PacketInvalid
from hil.hub.requests import Requests

LOAD_NAME = "load"
"""Under which the hub's own frames are counted."""


class Channel:
    """Clients, nodes and frames under way. `clock_ns` is monotonic."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._members: list[Connection] = []
        self._nodes: dict[str, Node] = {}
        self._delayed: list[tuple[int, int, Connection, bytes]] = []
        self._delayed_count = 0
        self._flood: Flood | None = None
        self._swapped = False
        self._requests = Requests(self)

    def handle(self, client: Connection, packet: bytes) -> None:
        """Act on a packet from a client.

        Raises:
            PacketInvalid: the client does not keep to the layout and must be refused.
        """
        if client.node is not None:
            if packet[0] != packets.FRAME:
                raise PacketInvalid(f"a client sends frames, not packets of kind {packet[0]}")
            self._take(client, client.node, packet)
        elif client.control:
            if packet[0] != packets.REQUEST:
                raise PacketInvalid(f"a controlling client sends requests, not packets of kind {packet[0]}")
            client.push(self._requests.answer(packet))
        else:
            self._join(client, packet)

    def leave(self, client: Connection) -> None:
        """Forget a client. Frames of it that are under way still arrive."""
        if client in self._members:
            self._members.remove(client)

    def next_due_ns(self) -> int | None:
        """When `run_due` has something to do, or None."""
        dues = [self._delayed[0][0]] if self._delayed else []
        if self._flood is not None:
            dues.append(self._flood.due_ns())
        return min(dues, default=None)

    def run_due(self) -> None:
        """Send the frames whose moment has come."""
        now_ns = self._clock_ns()
        while self._delayed and self._delayed[0][0] <= now_ns:
            _, _, sender, packet = heapq.heappop(self._delayed)
            self._deliver(sender, packet)
        if self._flood is not None:
            node = self._node(LOAD_NAME)
            for packet in self._flood.due(now_ns):
                node.count(self._flood.key, packet)
                self._put(None, packet, now_ns)

    def known(self, name: str) -> Node:
        """The node with this name.

        Raises:
            PacketInvalid: no client with this name has ever been here.
        """
        if name not in self._nodes:
            there = ", ".join(sorted(self._nodes)) or "nobody yet"
            raise PacketInvalid(f"no client named {name!r} has been on this channel (there were: {there})")
        return self._nodes[name]

    def bus_off(self, node: Node, on: bool) -> None:
        """Take the node's controllers off the bus, or put them back."""
        if node.bus_off == on:
            return
        node.bus_off = on
        node.settle()
        self._show_status(node)
        error_class = packets.ERR_BUS_OFF if on else packets.ERR_RESTARTED
        for member in self._members:
            if member.node is node:
                member.push_first(packets.error_frame(error_class, packets.ERR_NO_DETAIL, self._clock_ns()))

    def swap_lines(self, on: bool) -> None:
        """Let nobody understand anybody: each attempt to send is an error frame at every controller."""
        self._swapped = on
        for node in self._nodes.values():
            self._show_status(node)
        if on:
            self._error(packets.ERR_CONTROLLER, packets.ERR_PASSIVE, self._clock_ns())

    def load(self, frames_per_s: int, can_id: int) -> None:
        """Flood the channel with frames of the hub's own; 0 ends it."""
        self._flood = Flood(frames_per_s, can_id, self._clock_ns()) if frames_per_s else None

    def traffic(self) -> dict[str, Any]:
        """Counters since the hub started, by node and id."""
        online = {member.node.name for member in self._members if member.node is not None}
        return {
            "t_s": self._clock_ns() / 1e9,
            "clients": [
                {
                    "name": node.name,
                    "online": node.name in online,
                    "dropped": node.dropped,
                    "ids": [[key, entry.frames, entry.bytes] for key, entry in sorted(node.ids.items())],
                }
                for node in self._nodes.values()
            ],
        }

    def _join(self, client: Connection, packet: bytes) -> None:
        options, name = packets.read_hello(packet)
        if options & packets.CONTROL:
            client.welcome(options, packets.ACTIVE)
            return
        client.node = node = self._node(name)
        client.welcome(options, self._status(node))
        self._members.append(client)
        if node.bus_off:
            client.push(packets.error_frame(packets.ERR_BUS_OFF, packets.ERR_NO_DETAIL, self._clock_ns()))

    def _node(self, name: str) -> Node:
        return self._nodes.setdefault(name, Node(name))

    def _status(self, node: Node) -> int:
        if node.bus_off:
            return packets.BUS_OFF
        return packets.PASSIVE if self._swapped else packets.ACTIVE

    def _show_status(self, node: Node) -> None:
        for member in self._members:
            if member.node is node:
                member.set_status(self._status(node))

    def _take(self, client: Connection, node: Node, packet: bytes) -> None:
        flags, key = packets.check_frame(packet)
        if flags & packets.FD and not client.fd_capable:
            raise PacketInvalid("a CAN FD frame from a classic controller")
        now_ns = self._clock_ns()
        packet = packets.stamped(packet, now_ns)
        node.count(key, packet)
        if not node.disturbed:
            self._put(client, packet, now_ns)
            return
        for changed in node.outgoing(key, packet):
            due_ns = node.due_ns(now_ns)
            if due_ns > now_ns:
                self._delayed_count += 1
                heapq.heappush(self._delayed, (due_ns, self._delayed_count, client, changed))
            else:
                self._put(client, changed, now_ns)

    def _put(self, sender: Connection | None, packet: bytes, now_ns: int) -> None:
        if self._swapped:
            self._error(packets.ERR_PROTOCOL | packets.ERR_BUS_ERROR, packets.ERR_BIT, now_ns)
        else:
            self._deliver(sender, packet)

    def _deliver(self, sender: Connection | None, packet: bytes) -> None:
        fd = packet[1] & packets.FD
        for member in self._members:
            if member is sender:
                if member.own:
                    member.push(packets.own(packet))
            elif member.node is None or member.node.deaf:
                continue
            elif fd and not member.fd_capable:
                # To a classic controller an FD frame is a form error.
                member.push(packets.error_frame(packets.ERR_PROTOCOL, packets.ERR_FORM, self._clock_ns()))
            else:
                member.push(packet)

    def _error(self, error_class: int, detail: bytes, now_ns: int) -> None:
        packet = packets.error_frame(error_class, detail, now_ns)
        for member in self._members:
            if member.node is not None and not member.node.deaf:
                member.push(packet)
