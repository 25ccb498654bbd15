"""A serial port by path or URL: `/dev/serial/by-id/…`, a PTY, `socket://host:port`."""

from __future__ import annotations

import termios
from typing import Any

from bmsctl.drivers.links import device_files
from bmsctl.errors import LinkDown

LINE_ERRORS = (OSError, termios.error)
"""What an open port raises when it is gone. pyserial lets the errors of termios through."""

WRITE_S = 1.0
"""A telegram that is not taken within this time shows a device that holds its flow control."""


def open_port(device: str, url: str, baud: int) -> Any:
    """Open a pyserial port that reads without waiting; a device file is locked against a second user.

    Raises:
        LinkDown: not possible; the text says why and what to do.
    """
    import serial

    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("", "socket"):
        raise LinkDown(device, f"cannot open {url}; give the path of a serial port, or socket://HOST:PORT")
    options = {} if scheme else {"exclusive": True}
    try:
        return serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=WRITE_S, **options)
    except (*LINE_ERRORS, ValueError) as error:
        raise LinkDown(device, _why(url, bool(scheme), error)) from error


def close_port(port: Any) -> None:
    """Close a port. pyserial forgets to close a socket whose other end has already gone."""
    connection = getattr(port, "_socket", None)
    port.close()
    if connection is not None:
        connection.close()


def _why(url: str, is_socket: bool, error: Exception) -> str:
    if is_socket:
        return f"no connection to {url} ({error}); check that the device is on and its address is right"
    return device_files.trouble(url, getattr(error, "errno", None), str(error))
