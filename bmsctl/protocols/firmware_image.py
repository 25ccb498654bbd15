"""The image of a battery management system's software, as released in a file and as its boot loader checks it.

Big-endian: a header of 64 bytes, the body, and a CRC-32 (IEEE 802.3) over both.

    0      4 B   magic "BMS1"
    4      u32   length of the body in bytes, at least 1
    8      20 B  hardware numbers it runs on, separated by commas
    28     10 B  software number
    38     10 B  software version
    48     16 B  calibration
    64     …     body
    64 + n u32   CRC-32

Texts are ASCII, padded with spaces; none may be empty.

Source: this project's own layout; the maker's is to be checked on the device.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from bmsctl.protocols.dids import Text

MAGIC = b"BMS1"
HEADER_BYTES, CRC_BYTES = 64, 4

_START = struct.Struct(">4sI")
_HARDWARE, _SOFTWARE, _VERSION, _CALIBRATION = Text(20), Text(10), Text(10), Text(16)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image is, and which hardware it is for."""

    hardware: tuple[str, ...]
    software: str
    software_version: str
    calibration: str


def encode_image(header: ImageHeader, body: bytes) -> bytes:
    """The image of a body.

    Raises:
        ValueError: the body is empty; a text is missing, too long or not ASCII.
    """
    if not body:
        raise ValueError("an image needs a body")
    if not all((*header.hardware, header.software, header.software_version, header.calibration)) or not header.hardware:
        raise ValueError("an image names its hardware, software, version and calibration")
    image = (
        _START.pack(MAGIC, len(body))
        + _HARDWARE.encode(",".join(header.hardware))
        + _SOFTWARE.encode(header.software)
        + _VERSION.encode(header.software_version)
        + _CALIBRATION.encode(header.calibration)
        + body
    )
    return image + zlib.crc32(image).to_bytes(CRC_BYTES)


def read_header(image: bytes) -> ImageHeader:
    """What a whole and undamaged image says of itself.

    Raises:
        ValueError: it is no image, cut off, too long or damaged, or a text is missing or no text.
    """
    if len(image) < HEADER_BYTES + CRC_BYTES + 1:
        raise ValueError(f"{len(image)} bytes are too few for an image")
    magic, length = _START.unpack_from(image)
    if magic != MAGIC:
        raise ValueError(f"it begins with {magic.hex(' ').upper()}, not with {MAGIC.hex(' ').upper()}")
    body_bytes = len(image) - HEADER_BYTES - CRC_BYTES
    if length != body_bytes:
        raise ValueError(f"its body has {body_bytes} bytes where its header says {length}")
    computed, stored = zlib.crc32(image[:-CRC_BYTES]), int.from_bytes(image[-CRC_BYTES:])
    if computed != stored:
        raise ValueError(f"its CRC-32 is {computed:08X} where it says {stored:08X}")
    texts, at = [], _START.size
    for name, form in (
        ("hardware", _HARDWARE),
        ("software", _SOFTWARE),
        ("version", _VERSION),
        ("calibration", _CALIBRATION),
    ):
        text = form.decode(image[at : at + form.length])
        if not text:
            raise ValueError(f"its {name} is empty")
        texts.append(text)
        at += form.length
    hardware, software, version, calibration = texts
    return ImageHeader(tuple(number.strip() for number in hardware.split(",")), software, version, calibration)
