"""The SSH host key of a home: made once, kept beside the homes, never inside one; it goes where they go.

A client that knows a home's key knows the home again, whichever host and port its next session has. The
file is mounted read-only; it belongs to the session user, as whom the SSH server runs, in a folder that only
root may enter. Whoever works in a session can read that one key: it is the home's own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.host.config import HostConfig
from controller.host.words import HostRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_CHARS = 2_000
FOLDER = ".host-keys"
KEY_INSIDE = "/etc/axonos/ssh_host_ed25519_key"


@dataclass(frozen=True)
class HostKey:
    """The private key's file, and the public key as type and blob."""

    file: Path
    public: str


def forget(config: HostConfig, wallet: str) -> None:
    """A home that was deleted is no longer known to anybody."""
    for name in (wallet, f"{wallet}.pub"):
        (config.homes_dir / FOLDER / name).unlink(missing_ok=True)


def ensure(config: HostConfig, wallet: str) -> HostKey:
    """The home's key, made if there is none; the caller holds the home's lease.

    Args:
        config: the host.
        wallet: whose home it is.
    """
    folder = config.homes_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    private, public = folder / wallet, folder / f"{wallet}.pub"
    if not (private.exists() and public.exists()):
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 (new homes only)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        key = Ed25519PrivateKey.generate()
        secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        _keep(config, key, secret, private)
    return HostKey(private, public.read_text().strip())


def read(config: HostConfig, wallet: str) -> str | None:
    """The home's private key, for the host that the home goes to; None where no shell ever needed one."""
    private = config.homes_dir / FOLDER / wallet
    return private.read_text() if private.exists() else None


def place(config: HostConfig, wallet: str, secret: str) -> None:
    """Keep the key that came with a home; the caller holds the home alone.

    Raises:
        HostRefused: what came is no Ed25519 key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key  # noqa: PLC0415

    try:
        key = load_ssh_private_key(secret[:MAX_CHARS].encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a passphrase
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise HostRefused("home_broken_off", "the host key that came with the home is none")
    folder = config.homes_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    if read(config, wallet) != secret:
        _keep(config, key, secret.encode(), folder / wallet)


def _keep(config: HostConfig, key: Ed25519PrivateKey, secret: bytes, private: Path) -> None:
    """The private key is written last: where it is, the public key fits it."""
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 (new homes only)

    private.unlink(missing_ok=True)
    shown = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    _write(private.with_name(f"{private.name}.pub"), shown + b"\n", 0o644, os.getuid())
    _write(private, secret, 0o400, config.session_uid)


def _write(path: Path, content: bytes, mode: int, uid: int) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.fchown(descriptor, uid, uid)
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
