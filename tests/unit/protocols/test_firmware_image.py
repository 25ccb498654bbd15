"""Firmware images: pinned bytes, every kind of damage told by name, and the images that the recipes name."""

from __future__ import annotations

import hashlib
import tomllib
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmsctl.protocols.firmware_image import CRC_BYTES, HEADER_BYTES, ImageHeader, encode_image, read_header

RECIPES = Path(__file__).parents[3] / "recipes"
PACKS = ("as40", "as52", "am60")

HEADER = ImageHeader(("HW03", "HW04"), "SW0152", "0007", "CAL052")

# "BMS1", 4 bytes of body, four texts padded with spaces, the body, and the CRC-32 as gzip computes it.
IMAGE = bytes.fromhex(
    "424D5331 00000004"
    "485730332C4857303420202020202020 20202020"
    "53573031353220202020"
    "30303037202020202020"
    "43414C30353220202020202020202020"
    "DEADBEEF"
    "D7EAF176"
)


def with_crc(image: bytes) -> bytes:
    """The image with a right checksum."""
    return image[:-CRC_BYTES] + zlib.crc32(image[:-CRC_BYTES]).to_bytes(CRC_BYTES)


def test_an_image_as_bytes() -> None:
    assert encode_image(HEADER, bytes.fromhex("DEADBEEF")) == IMAGE
    assert read_header(IMAGE) == HEADER


def test_the_checksum_is_that_of_ieee_802_3() -> None:
    assert zlib.crc32(b"123456789") == 0xCBF43926


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (b"", "0 bytes are too few"),
        (IMAGE[:68], "68 bytes are too few"),
        (b"BMS2" + IMAGE[4:], "begins with 42 4D 53 32"),
        (IMAGE[:-1], "body has 3 bytes where its header says 4"),
        (IMAGE + b"\0", "body has 5 bytes where its header says 4"),
        (IMAGE[:65] + b"\0" + IMAGE[66:], "CRC-32 is"),
        (with_crc(IMAGE[:8] + b" " * 20 + IMAGE[28:]), "hardware is empty"),
        (with_crc(IMAGE[:28] + b"\xff" * 10 + IMAGE[38:]), "software is empty"),
        (with_crc(IMAGE[:38] + b"00\x0107     " + IMAGE[48:]), "is not text"),
    ],
)
def test_what_is_wrong_is_named(image: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_header(image)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (HEADER, b""),
        (ImageHeader((), "SW0152", "0007", "CAL052"), b"\1"),
        (ImageHeader(("",), "SW0152", "0007", "CAL052"), b"\1"),
        (ImageHeader(("HW03",), "SW0152", "", "CAL052"), b"\1"),
        (ImageHeader(("HW03",), "SW015200000", "0007", "CAL052"), b"\1"),
    ],
)
def test_no_image_is_made_that_could_not_be_read(header: ImageHeader, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"needs a body|names its|more than"):
        encode_image(header, body)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_single_byte_that_is_damaged_is_noticed(body: bytes, data: Any) -> None:
    image = encode_image(HEADER, body)
    assert read_header(image) == HEADER
    at = data.draw(st.integers(0, len(image) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != image[at]))
    with pytest.raises(ValueError, match=r"it begins|its body|its CRC"):
        read_header(image[:at] + bytes((other,)) + image[at + 1 :])


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"too few|it begins|its body|its CRC"):
        read_header(data)


def pattern(software: str, count: int) -> bytes:
    """The body of the recipes' stand-ins: bits 16 to 23 of x = (1103515245 x + 12345) mod 2^31, the example of ISO C's
    rand, from the low 31 bits of the software number's CRC-32 on."""
    x, body = zlib.crc32(software.encode()) & 0x7FFFFFFF, bytearray()
    for _ in range(count):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        body.append(x >> 16 & 0xFF)
    return bytes(body)


@pytest.mark.parametrize("pack", PACKS)
def test_each_recipe_names_an_image_that_is_what_it_says(pack: str) -> None:
    recipe = tomllib.loads((RECIPES / "packs" / f"{pack}.toml").read_text())
    (step,) = [step for step in recipe["stacking"]["step"] if step["run"] == "bms_flash"]
    said = {name: param["value"] for name, param in step["params"].items()}
    image = (RECIPES / said["image"]).read_bytes()
    assert hashlib.sha256(image).hexdigest() == said["image_sha256"]
    header = read_header(image)
    assert said["hardware"] in header.hardware
    assert header.software == said["software"]
    assert header.software_version == said["software_version"]
    assert header.calibration == said["calibration"]
    assert len(image) == 24 * 1024
    assert image[HEADER_BYTES:-CRC_BYTES] == pattern(header.software, 24 * 1024 - HEADER_BYTES - CRC_BYTES)
