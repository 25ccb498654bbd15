"""Key pairs that recipes are signed with: Ed25519, the private key in a file that a passphrase encrypts.

Source: RFC 8032 (Ed25519); PKCS #8 (RFC 5958) in PEM, which OpenSSL reads, too.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bmsctl.errors import Refused
from bmsctl.store.folder import sync_names
from bmsctl.store.whole_file import read_file

PASSPHRASE_MIN = 8
BYTES_MAX = 64 * 1024


def key_file(folder: Path, person_id: str) -> Path:
    """Where a person's private key is, their id written in lower case."""
    return folder / f"{person_id.casefold()}.pem"


def make_key(path: Path, passphrase: str) -> str:
    """Make a key pair, its private key in a new file of its owner only; the public key, 64 hexadecimal digits.

    Raises:
        ValueError: the passphrase is too short.
        FileExistsError: there is a file; nothing was changed.
        OSError: it cannot be written.
    """
    if len(passphrase) < PASSPHRASE_MIN:
        raise ValueError(f"a passphrase has at least {PASSPHRASE_MIN} characters; some words are easier to remember")
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(_bytes(passphrase))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    sync_names(path.parent)
    return public_of(key)


def load_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private key of a file.

    Raises:
        OSError: no such file, or it cannot be read.
        Refused: not the passphrase, or no private key of `make_key`.
    """
    pem = read_file(path, BYTES_MAX)
    if len(pem) > BYTES_MAX:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), os.fspath(path))
    try:
        key = load_pem_private_key(pem, _bytes(passphrase))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refused(f"{path}: not the passphrase, or no encrypted private key; try again") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"{path}: not an Ed25519 key; make one with `bmsctl recipe keygen`")
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """The public key of a private one, 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """The signature of a message, 128 hexadecimal digits."""
    return key.sign(message).hex()


def genuine(public_key: str, signature: str, message: bytes) -> bool:
    """Whether a signature is this key's of this message; what is no key or no signature is not."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


def _bytes(passphrase: str) -> bytes:
    return passphrase.encode("utf-8", "surrogatepass")
