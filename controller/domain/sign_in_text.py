"""The text a wallet signs to sign in (EIP-4361), and how its nonce is found again; no verification."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

MAX_CHARS = 4_096
LIFE_MS = 5 * 60_000
NONCE_CHARS = 24
STATEMENT = "Sign in to AxonOS. This is a signature, no transaction: it costs nothing and moves nothing."
_ALPHABET = string.ascii_letters + string.digits
_NONCE = re.compile(r"^Nonce: ([A-Za-z0-9]{16,64})$", re.MULTILINE)


@dataclass(frozen=True)
class Site:
    """Who asks for the signature; from configuration, never from a request."""

    origin: str
    chain_id: int

    @property
    def domain(self) -> str:
        """The authority of the origin: host, and port where it is not the scheme's own."""
        return urlsplit(self.origin).netloc

    @property
    def uri(self) -> str:
        return f"{self.origin}/"


def new_nonce(choose: Callable[[str], str]) -> str:
    """A nonce of 24 random alphanumerics (EIP-4361 asks for at least 8).

    Args:
        choose: picks one character of its argument, unpredictably.
    """
    return "".join(choose(_ALPHABET) for _ in range(NONCE_CHARS))


def sign_in_text(site: Site, address: str, nonce: str, now_ms: int) -> str:
    """The EIP-4361 message.

    The scheme is written only where it is not https, which EIP-4361 takes when none is given.

    Args:
        site: who asks.
        address: the wallet, with its EIP-55 checksum.
        nonce: from `new_nonce`.
        now_ms: issue time; the text is valid for `LIFE_MS` from here.
    """
    scheme = urlsplit(site.origin).scheme
    prefix = "" if scheme == "https" else f"{scheme}://"
    return "\n".join(
        [
            f"{prefix}{site.domain} wants you to sign in with your Ethereum account:",
            address,
            "",
            STATEMENT,
            "",
            f"URI: {site.uri}",
            "Version: 1",
            f"Chain ID: {site.chain_id}",
            f"Nonce: {nonce}",
            f"Issued At: {iso(now_ms)}",
            f"Expiration Time: {iso(now_ms + LIFE_MS)}",
        ]
    )


def nonce_of(text: str) -> str | None:
    """The nonce line of a signed text, or None: to look up what was asked for; nothing is believed yet."""
    found = _NONCE.findall(text) if len(text) <= MAX_CHARS else []
    return found[0] if len(found) == 1 else None


def iso(at_ms: int) -> str:
    """An instant as EIP-4361 writes it, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
