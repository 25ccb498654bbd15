"""A process of its own that sends numbered frames: `sender.py CHANNEL COUNT SIZE BURST`; only the standard library,
because imports are slow in a guest kernel.

Frame n carries n in its first four bytes, big endian. More than 8 bytes: CAN FD with bit rate switch. After each
BURST frames it pauses for a millisecond; 0: never.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

CAN_ID = 0x123
BIT_RATE_SWITCH = 0x01


def main(channel: str, count: int, size: int, burst: int) -> None:
    padding = bytes(size - 4)
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as peer:
        if size > 8:
            peer.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        peer.bind((channel,))
        for number in range(count):
            data = number.to_bytes(4) + padding
            if size > 8:
                peer.send(struct.pack("=IBBxx64s", CAN_ID, size, BIT_RATE_SWITCH, data))
            else:
                peer.send(struct.pack("=IB3x8s", CAN_ID, size, data))
            if burst and number % burst == burst - 1:
                time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
