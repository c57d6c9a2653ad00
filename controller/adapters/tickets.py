"""Ed25519 keys of stream tickets, from PEM files. The private key is read only where tickets are issued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from controller.errors import SettingsInvalid


class Ed25519Tickets:
    """Implements `ports.TicketSigner`."""

    def __init__(self, private_key_path: Path) -> None:
        """Args: a PKCS#8 PEM file without a password, readable by this process only.

        Raises:
            SettingsInvalid: the file is missing or holds another kind of key.
        """
        try:
            key = load_pem_private_key(private_key_path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsInvalid(f"ticket key {private_key_path}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SettingsInvalid(f"ticket key {private_key_path}: not an Ed25519 private key")
        self._key = key

    def sign(self, payload: bytes) -> bytes:
        return self._key.sign(payload)


def load_verifier(public_key_path: Path) -> Callable[[bytes, bytes], bool]:
    """Read the public key once.

    Returns:
        A function of (payload, signature): whether the platform's key made it.

    Raises:
        SettingsInvalid: the file is missing or holds another kind of key.
    """
    try:
        key = load_pem_public_key(public_key_path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"ticket key {public_key_path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsInvalid(f"ticket key {public_key_path}: not an Ed25519 public key")

    def verify(payload: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, payload)
        except InvalidSignature:
            return False
        return True

    return verify
