"""Who may open which stream: a ticket is checked, compared with this host, and burned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.domain.ticket import HOME, TicketClaims, TicketRefused, check
from controller.host.names import SLOT

REFUSED, NO_DESKTOP, BURNED, TAKEN_OVER, TOO_MANY = 4401, 4404, 4409, 4410, 4429


class NotAdmitted(Exception):
    """No stream; `code` is the WebSocket's close code."""

    def __init__(self, code: int, why: str) -> None:
        """Args: one of this module's codes; a word for the log, never the ticket."""
        self.code = code
        super().__init__(why)


@dataclass
class Admission:
    """The gateway's memory of tickets. Ids before `started_at_ms` are unknown to it, so those are refused."""

    host: str
    origin: str
    verify: Callable[[bytes, bytes], bool]
    started_at_ms: int
    burned: dict[str, int] = field(default_factory=dict)

    def admit(self, ticket: str, now_ms: int) -> TicketClaims:
        """Burn a ticket.

        Raises:
            NotAdmitted: it is not valid, not for this host, or was used before.
        """
        try:
            claims = check(ticket, self.verify, now_ms, self.started_at_ms, self.origin)
        except TicketRefused as refused:
            raise NotAdmitted(REFUSED, refused.reason) from refused
        if claims.host != self.host or not (SLOT.fullmatch(claims.slot) or claims.slot == HOME):
            raise NotAdmitted(REFUSED, "host")
        if claims.id in self.burned:
            raise NotAdmitted(BURNED, "burned")
        self.burned[claims.id] = claims.expires_at_ms
        return claims

    def forget_expired(self, now_ms: int) -> None:
        """Drop ids whose tickets are refused for their age anyway."""
        self.burned = {key: until for key, until in self.burned.items() if until > now_ms}
