"""Key pairs: the private one in an encrypted file of its owner only, signatures against RFC 8032's own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bmsctl.compose import signing_keys
from bmsctl.compose.signing_keys import genuine, key_file, load_key, make_key, public_of, sign
from bmsctl.errors import Refused

PASSPHRASE = "correct horse"

# RFC 8032, 7.1, test 2: secret key, public key, message, signature.
SECRET = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
MESSAGE = b"\x72"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_against_the_standard() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SECRET))
    assert public_of(key) == PUBLIC
    assert sign(key, MESSAGE) == SIGNATURE
    assert genuine(PUBLIC, SIGNATURE, MESSAGE)


@pytest.mark.parametrize(
    ("public", "signature", "message"),
    [
        (PUBLIC, SIGNATURE, b"\x73"),
        (PUBLIC, SIGNATURE[:-2] + "01", MESSAGE),
        ("3c" + PUBLIC[2:], SIGNATURE, MESSAGE),
        (PUBLIC[:-2], SIGNATURE, MESSAGE),
        (PUBLIC, "", MESSAGE),
        ("xyz", SIGNATURE, MESSAGE),
    ],
)
def test_what_is_not_genuine(public: str, signature: str, message: bytes) -> None:
    assert not genuine(public, signature, message)


def test_a_key_is_read_back_with_its_passphrase_only(tmp_path: Path) -> None:
    path = key_file(tmp_path / "keys", "Eva")
    public = make_key(path, PASSPHRASE)
    assert path == tmp_path / "keys" / "eva.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert public_of(load_key(path, PASSPHRASE)) == public
    for wrong in ("correct hors", "", "\ud800"):
        with pytest.raises(Refused, match="not the passphrase, or no encrypted private key; try again"):
            load_key(path, wrong)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "eva.pem"
    make_key(path, PASSPHRASE)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        make_key(path, PASSPHRASE)
    assert path.read_bytes() == before


def test_a_short_passphrase_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 8 characters"):
        make_key(tmp_path / "eva.pem", "seven77")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_key_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "eva.pem"
    x25519, ed25519 = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    encrypted = BestAvailableEncryption(PASSPHRASE.encode())
    contents = {
        b"": "no encrypted private key",
        b"\xff" * 99: "no encrypted private key",
        ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()): "no encrypted private key",
        x25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted): "not an Ed25519 key",
    }
    for content, said in contents.items():
        path.write_bytes(content)
        with pytest.raises(Refused, match=said):
            load_key(path, PASSPHRASE)
    path.write_bytes(b"x" * (signing_keys.BYTES_MAX + 1))
    with pytest.raises(OSError, match="File too large"):
        load_key(path, PASSPHRASE)
