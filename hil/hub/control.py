"""Disturb a channel of the bench bus, and see its traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

from hil.hub import packets
from hil.hub.join import ANSWER_S, join


class HubError(Exception):
    """The hub refused a request, or is gone. Nothing was changed."""


class IdTraffic(NamedTuple):
    """What a client has sent under one id; the id is -1 for the ids that are not counted apart."""

    client: str
    can_id: int
    extended: bool
    frames: int
    bytes: int
    frames_per_s: float


class ClientTraffic(NamedTuple):
    """What a client has sent, and how many frames it has lost by not reading in time."""

    name: str
    online: bool
    frames: int
    bytes: int
    frames_per_s: float
    dropped: int


class Traffic(NamedTuple):
    """Counters since the hub started; rates since the call before (0 at the first)."""

    clients: tuple[ClientTraffic, ...]
    ids: tuple[IdTraffic, ...]


class HubControl:
    """Controls one channel by its socket. A disturbance of a client stays when that closes and opens its bus.

    Every method waits for the hub's reply, well under a millisecond, and raises `HubError`: no client with
    that name has been on the channel, an argument is out of range, or the hub is gone.
    """

    def __init__(self, channel: Path | str) -> None:
        try:
            self._sock, status = join(Path(channel), packets.CONTROL, "control")
        except ConnectionError as error:
            raise HubError(str(error)) from error
        status.close()
        self._channel = channel
        self._sock.settimeout(ANSWER_S)
        self._before_s: float | None = None
        self._frames_before: dict[tuple[str, int], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. The disturbances stay."""
        self._sock.close()

    def bus_off(self, name: str, on: bool) -> None:
        """Take the client's controller off the bus, or put it back."""
        self._ask(do="bus_off", name=name, on=on)

    def mute(self, name: str, on: bool) -> None:
        """Unplug the client: its frames vanish and it hears nothing."""
        self._ask(do="mute", name=name, on=on)

    def drop_every(self, name: str, n: int) -> None:
        """Lose every `n`-th frame that the client sends; 0 ends it."""
        self._ask(do="drop_every", name=name, n=n)

    def corrupt(self, name: str, n: int) -> None:
        """Invert one byte of every `n`-th frame that the client sends; 0 ends it."""
        self._ask(do="corrupt", name=name, n=n)

    def repeat(self, name: str, can_id: int, on: bool, *, extended: bool = False) -> None:
        """Freeze an id of the client: in place of each new frame, its last one is sent again."""
        self._ask(do="repeat", name=name, can_id=can_id, on=on, extended=extended)

    def duplicate_of(self, name: str, frames_behind: int) -> None:
        """Add a second controller that sends the client's ids too, that many transmissions behind; 0 ends it."""
        self._ask(do="duplicate_of", name=name, frames_behind=frames_behind)

    def delay(self, name: str, seconds: float) -> None:
        """Deliver what the client sends that much later, to about a millisecond, in order; 0 ends it."""
        self._ask(do="delay", name=name, us=round(seconds * 1e6))

    def load(self, frames_per_s: int, can_id: int = packets.STANDARD_ID_MAX) -> None:
        """Let the hub send that many frames of 8 bytes itself, in bursts of a millisecond; 0 ends it.

        About 4,000 fill a classic bus at 500 kbit/s. An id over 0x7FF is extended.
        """
        self._ask(do="load", frames_per_s=frames_per_s, can_id=can_id)

    def swap_lines(self, on: bool) -> None:
        """Swap H and L: nobody hears anybody, every attempt to send is an error frame at every client."""
        self._ask(do="swap_lines", on=on)

    def traffic(self) -> Traffic:
        """What has passed, by client and id. Frames count when they are sent, before any disturbance."""
        counters = self._ask(do="traffic")
        now_s = counters["t_s"]
        elapsed_s = None if self._before_s is None else now_s - self._before_s
        clients, ids, seen = [], [], {}
        for client in counters["clients"]:
            name, sent = client["name"], []
            for key, frames, size in client["ids"]:
                seen[name, key] = frames
                new = frames - self._frames_before.get((name, key), 0)
                extended = key >= packets.EXTENDED_KEY
                can_id = key - packets.EXTENDED_KEY if extended else key
                sent.append(IdTraffic(name, can_id, extended, frames, size, new / elapsed_s if elapsed_s else 0.0))
            ids += sent
            totals = sum(i.frames for i in sent), sum(i.bytes for i in sent), sum(i.frames_per_s for i in sent)
            clients.append(ClientTraffic(name, client["online"], *totals, client["dropped"]))
        self._before_s, self._frames_before = now_s, seen
        return Traffic(tuple(clients), tuple(ids))

    def _ask(self, **request: Any) -> Any:
        try:
            self._sock.send(packets.document(packets.REQUEST, request))
            packet = self._sock.recv(packets.REPLY_MAX)
        except OSError as error:
            self._sock.close()  # a reply that comes late must not be taken for the next
            raise HubError(f"the hub on {self._channel} does not answer ({error}); start it again") from error
        if not packet:
            raise HubError(f"the hub on {self._channel} is gone; start it again")
        if packet[0] == packets.REFUSED:
            raise HubError(packet[1:].decode())
        reply = packets.read_document(packet)
        if "error" in reply:
            raise HubError(f"{self._channel}: {request['do']}: {reply['error']}")
        return reply["ok"]
