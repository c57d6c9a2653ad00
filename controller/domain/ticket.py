"""Stream tickets: a short-lived signed permission to open one session's stream, once.

Pure: signing, verifying, the clock and the memory of burned ids are arguments. A ticket is
`b64url(claims as canonical JSON) + "." + b64url(signature)` and travels as a WebSocket subprotocol.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

MAX_LIFE_MS = 30_000
MAX_TEXT = 1_024
PREFIX = "ticket."
HOME = "home"  # in place of a slot: a ticket for the files of a home
CLOCK_SKEW_MS = 2_000
_PART = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {"str": str, "int": int, "bool": bool}


class TicketRefused(Exception):
    """This permission to open the stream is not valid. Reload the page."""

    def __init__(self, reason: str) -> None:
        """Args: a stable word: form, signature, expired, early, origin or stale."""
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class TicketClaims:
    """What a ticket permits. `id` is random and burned at first use; instants are epoch milliseconds.

    `view_only`: to look beside whoever works there, with no input passed on.
    """

    id: str
    session: str
    slot: str
    host: str
    origin: str
    issued_at_ms: int
    expires_at_ms: int
    view_only: bool = False


def issue(claims: TicketClaims, sign: Callable[[bytes], bytes]) -> str:
    """Make the ticket's text.

    Args:
        claims: what is permitted; a life of at most `MAX_LIFE_MS`.
        sign: Ed25519 signature of the payload.

    Returns:
        ASCII text that is a valid WebSocket subprotocol token.

    Raises:
        ValueError: the claims live too long, or not at all, or are too long to be checked.
    """
    if not 0 < claims.expires_at_ms - claims.issued_at_ms <= MAX_LIFE_MS:
        raise ValueError(f"a ticket lives 1 to {MAX_LIFE_MS} ms")
    payload = json.dumps(asdict(claims), sort_keys=True, separators=(",", ":")).encode()
    text = f"{_encode(payload)}.{_encode(sign(payload))}"
    if len(text) > MAX_TEXT:
        raise ValueError(f"a ticket has at most {MAX_TEXT} characters")
    return text


def check(
    text: str,
    verify: Callable[[bytes, bytes], bool],
    now_ms: int,
    not_before_ms: int,
    origin: str,
) -> TicketClaims:
    """Check a ticket that a browser presents. The caller burns `claims.id` and compares host and slot.

    Args:
        text: the ticket, without the `ticket.` prefix.
        verify: whether (payload, signature) was made with the platform's key.
        now_ms: the checking host's clock.
        not_before_ms: start of the checking gateway; an older ticket may have been burned by its predecessor.
        origin: the Origin header of the request.

    Raises:
        TicketRefused: with the reason; nothing in the ticket can be trusted then.
    """
    payload, signature = _split(text)
    if not verify(payload, signature):
        raise TicketRefused("signature")
    claims = _claims(payload)
    if not 0 < claims.expires_at_ms - claims.issued_at_ms <= MAX_LIFE_MS or now_ms >= claims.expires_at_ms:
        raise TicketRefused("expired")
    if claims.issued_at_ms > now_ms + CLOCK_SKEW_MS:
        raise TicketRefused("early")
    if claims.issued_at_ms < not_before_ms:
        raise TicketRefused("stale")
    if claims.origin != origin:
        raise TicketRefused("origin")
    return claims


def home_session(wallet: str, generation: int, base: str) -> str:
    """What a home's ticket has in place of a session: which home, and how a host opens it."""
    return f"{wallet} {generation} {base}"


def home_of(claims: TicketClaims) -> tuple[str, int, str]:
    """Wallet, generation and base of a home's ticket. Raises TicketRefused: form."""
    parts = claims.session.split(" ")
    if len(parts) != 3 or not parts[1].isdecimal() or len(parts[1]) > 15:
        raise TicketRefused("form")
    return parts[0], int(parts[1]), parts[2]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if _encode(data) != part:  # one ticket has one text
        raise TicketRefused("form")
    return data


def _split(text: str) -> tuple[bytes, bytes]:
    parts = text.split(".")
    if len(text) > MAX_TEXT or len(parts) != 2 or not all(_PART.fullmatch(part) for part in parts):
        raise TicketRefused("form")
    try:
        return _decode(parts[0]), _decode(parts[1])
    except binascii.Error as error:
        raise TicketRefused("form") from error


def _claims(payload: bytes) -> TicketClaims:
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise TicketRefused("form") from error
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(TicketClaims)}
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise TicketRefused("form")
    if any(type(data[name]) is not kind for name, kind in kinds.items()):
        raise TicketRefused("form")
    return TicketClaims(**data)
