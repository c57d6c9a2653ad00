"""Public SSH keys as people paste them: one line, a type we take, a blob that says the same, nothing else.

What is kept is type and blob, written anew from what was read: no options, no comment, no second line can
come near an `authorized_keys` file. Source: design 5.1; OpenSSH, sshd(8), AUTHORIZED_KEYS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from controller.errors import BadSshKey

MAX_KEY_CHARS = 3_000
MAX_COMMENT_CHARS = 60
MIN_RSA_BITS, MAX_RSA_BITS = 3_072, 8_192
TYPES = frozenset(
    {
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-rsa",
    }
)


@dataclass(frozen=True)
class PublicKey:
    """`text` is type and blob as OpenSSH writes them; `fingerprint` its SHA-256 as ssh-keygen shows it."""

    type: str
    text: str
    fingerprint: str
    comment: str


def read_key(pasted: str) -> PublicKey:
    """Read one public key.

    Args:
        pasted: the line of a `.pub` file; blanks around it are ignored.

    Raises:
        BadSshKey: with the reason and what to do.
    """
    if "PRIVATE KEY" in pasted:
        raise BadSshKey("That is a private key: never give it to anybody. Paste the line of the .pub file.")
    if len(pasted) > MAX_KEY_CHARS:
        raise BadSshKey(f"A public key has at most {MAX_KEY_CHARS} characters.")
    line = pasted.strip(" \r\n")
    if not line.isprintable():
        raise BadSshKey("A public key is one line, without control characters.")
    words = line.split(" ", 2)
    if len(words) < 2 or words[0] not in TYPES:
        raise BadSshKey(
            "It has to begin with its type, one of ssh-ed25519, ecdsa-sha2-nistp256/384/521, "
            "sk-ssh-ed25519, sk-ecdsa-sha2-nistp256 or ssh-rsa; options are not taken."
        )
    blob = _blob(words[0], words[1])
    text = f"{words[0]} {base64.b64encode(blob).decode()}"
    _check(text)
    return PublicKey(words[0], text, fingerprint(text), words[2].strip() if len(words) > 2 else "")


def fingerprint(text: str) -> str:
    """SHA-256 of a key's blob, as `ssh-keygen -l` shows it.

    Args:
        text: type and blob.
    """
    digest = hashlib.sha256(base64.b64decode(text.split(" ")[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _blob(kind: str, encoded: str) -> bytes:
    try:
        blob = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSshKey("The key's second word is damaged. Copy the whole line again.") from error
    inner = len(kind).to_bytes(4) + kind.encode()
    if not blob.startswith(inner):
        raise BadSshKey("The key says one type and holds another. Copy the whole line again.")
    return blob


def _check(text: str) -> None:
    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadSshKey("The key is damaged. Copy the whole line again.") from error
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise BadSshKey(
            f"RSA keys need {MIN_RSA_BITS} to {MAX_RSA_BITS} bits. `ssh-keygen -t ed25519` makes a good key."
        )
