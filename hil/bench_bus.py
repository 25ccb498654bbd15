"""python-can's interface `bench`: a bus of the hub in `hil.hub`, usable as any other adapter.

`can.Bus(interface="bench", channel="/run/user/1000/bench/pack.can", name="station", fd=True)`
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from pathlib import Path
from typing import Final

import can

from hil.hub import packets
from hil.hub.join import join

SEND_WAIT_S: Final = 1.0
"""How long `send` waits for room if the caller does not say."""

_STATES = {
    packets.ACTIVE: can.BusState.ACTIVE,
    packets.PASSIVE: can.BusState.PASSIVE,
    packets.BUS_OFF: can.BusState.ERROR,
}


class BenchBus(can.BusABC):
    """A client of one channel of the hub.

    `lost` counts the frames that the hub had to drop because this client did not read in time. A message's
    `timestamp` is the machine's monotonic clock, in seconds, when the hub took the frame. Error frames come
    as messages with SocketCAN's error class as id, whatever the filters.
    """

    def __init__(
        self,
        channel: str | Path,
        can_filters: can.typechecking.CanFilters | None = None,
        *,
        name: str = "client",
        fd: bool = False,
        receive_own_messages: bool = False,
        **unknown: object,
    ) -> None:
        """Join a channel.

        Args:
            channel: path of the channel's socket.
            can_filters: as python-can has them; applied here, not by the hub.
            name: under which the hub counts and disturbs this client.
            fd: whether the controller speaks CAN FD.
            receive_own_messages: whether frames come back to their sender.

        Raises:
            can.CanInitializationError: an unknown option, no hub there, or the hub refuses; the text says which.
        """
        if unknown:
            raise can.CanInitializationError(
                f"interface bench has no option {', '.join(sorted(unknown))}; it has name, fd, receive_own_messages"
            )
        options = (packets.CAN_FD if fd else 0) | (packets.RECEIVE_OWN if receive_own_messages else 0)
        try:
            self._sock, self._status = join(Path(channel), options, str(name))
        except ConnectionError as error:
            raise can.CanInitializationError(str(error)) from error
        self._sock.setblocking(False)
        self._channel = str(channel)
        self._can_protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        self._fd = fd
        self.channel_info = f"bench {channel} as {name}"
        self.lost = 0
        super().__init__(channel=str(channel), can_filters=can_filters)

    @property
    def state(self) -> can.BusState:
        """The controller's, as the hub last told it: ERROR means bus-off."""
        return _STATES[self._status[0]]

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        raise NotImplementedError("a bench controller leaves bus-off when whoever controls the hub ends it")

    def fileno(self) -> int:
        """Readable when `recv` has something."""
        return self._sock.fileno()

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Send one frame; wait for room at most `timeout` seconds (None: one second).

        Raises:
            can.CanOperationError: bus-off, the hub is gone, or a frame that this controller cannot send.
            can.CanTimeoutError: the hub does not take frames as fast as they come.
        """
        if self._status[0] == packets.BUS_OFF:
            raise can.CanOperationError(f"{self.channel_info}: bus-off; nothing can be sent", errno.ENETDOWN)
        packet = self._packet(msg)
        while True:
            try:
                self._sock.send(packet)
                return
            except BlockingIOError:
                if not self._ready(select.POLLOUT, SEND_WAIT_S if timeout is None else timeout):
                    raise can.CanTimeoutError(f"{self.channel_info}: the hub takes no more frames") from None
            except OSError as error:
                raise self._ended() from error

    def shutdown(self) -> None:
        """Leave the channel. A `recv` that waits in another thread ends."""
        if not self._is_shutdown:
            super().shutdown()
            with contextlib.suppress(OSError):  # the hub has closed it already
                self._sock.shutdown(socket.SHUT_RDWR)
            self._sock.close()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        packet = self._next(timeout)
        while packet is not None and packet[0] == packets.DROPPED:
            self.lost += packets.dropped_count(packet)
            packet = self._next(0.0)
        if packet is None:
            return None, False
        if packet[0] != packets.FRAME:
            raise can.CanOperationError(f"{self.channel_info}: the hub ends it: {packet[1:].decode(errors='replace')}")
        message = self._message(packet)
        return message, message.is_error_frame

    def _next(self, timeout: float | None) -> bytes | None:
        """The next packet, or None if none came in time.

        Raises:
            can.CanOperationError: the hub is gone.
        """
        try:
            try:
                packet = self._sock.recv(packets.PACKET_MAX)
            except BlockingIOError:
                if not self._ready(select.POLLIN, timeout):
                    return None
                packet = self._sock.recv(packets.PACKET_MAX)
        except BlockingIOError:
            return None  # another thread has taken it
        except OSError as error:
            raise self._ended() from error
        if not packet:
            raise self._ended()
        return packet

    def _ready(self, event: int, timeout: float | None) -> bool:
        waiting = select.poll()
        try:
            waiting.register(self._sock, event)
        except ValueError as error:  # no file descriptor: another thread has shut the bus down
            raise self._ended() from error
        return bool(waiting.poll(None if timeout is None else max(0.0, 1000 * timeout)))

    def _ended(self) -> can.CanOperationError:
        gone = "the hub is gone; start it again, then open the bus again"
        why = "the bus is shut down" if self._is_shutdown else gone
        return can.CanOperationError(f"{self.channel_info}: {why}", errno.EPIPE)

    def _packet(self, msg: can.Message) -> bytes:
        data = msg.data
        flags = packets.EXTENDED if msg.is_extended_id else 0
        if msg.is_fd:
            if not self._fd:
                raise can.CanOperationError(f"{self.channel_info}: a CAN FD frame on a bus opened without fd=True")
            flags |= packets.FD
            if msg.bitrate_switch:
                flags |= packets.BITRATE_SWITCH
            if msg.error_state_indicator:
                flags |= packets.ERROR_PASSIVE
        if msg.is_remote_frame:
            flags |= packets.REMOTE
        elif msg.is_error_frame:
            raise can.CanOperationError(f"{self.channel_info}: error frames cannot be sent")
        if not 0 <= msg.arbitration_id <= packets.EXTENDED_ID_MAX or not 0 <= msg.dlc <= 64:
            raise can.CanOperationError(f"{self.channel_info}: no CAN frame has this id and length: {msg}")
        packet = packets.frame(flags, msg.dlc, msg.arbitration_id, data)
        try:
            packets.check_frame(packet)
        except packets.PacketInvalid as error:
            raise can.CanOperationError(f"{self.channel_info}: {error}") from None
        return packet

    def _message(self, packet: bytes) -> can.Message:
        _, flags, length, can_id, stamp_ns = packets.HEADER.unpack_from(packet)
        return can.Message(
            timestamp=stamp_ns / 1e9,
            arbitration_id=can_id,
            is_extended_id=bool(flags & packets.EXTENDED),
            is_remote_frame=bool(flags & packets.REMOTE),
            is_error_frame=bool(flags & packets.ERROR),
            channel=self._channel,
            dlc=length,
            data=packet[packets.DATA_AT :],
            is_fd=bool(flags & packets.FD),
            is_rx=not flags & packets.OWN,
            bitrate_switch=bool(flags & packets.BITRATE_SWITCH),
            error_state_indicator=bool(flags & packets.ERROR_PASSIVE),
        )
