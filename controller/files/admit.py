"""Who may reach which home: the ticket is checked once more here, so that the gateway need not be trusted."""

from __future__ import annotations

import os
import re

from controller.adapters.tickets import load_verifier
from controller.domain.ticket import HOME, TicketRefused, check, home_of
from controller.host import homes
from controller.host.config import HostConfig
from controller.host.home_usage import WALLET
from controller.host.steady import HostClock
from controller.host.words import HostRefused

BASE = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,62})?")


class Refused(Exception):
    """The home is not opened."""

    def __init__(self, code: str, why: str) -> None:
        """Args: a stable word; a sentence."""
        self.code = code
        super().__init__(why)


def admit(config: HostConfig, ticket: str) -> int:
    """The top folder of the home that a ticket is for, open.

    Raises:
        Refused: the ticket is not valid or not for this host, or the home is not here now.
    """
    verify = load_verifier(config.ticket_public_key)
    try:
        claims = check(ticket, verify, HostClock(config.run_dir).now_ms(), 0, config.pages_origin)
        wallet, generation, base = home_of(claims)
    except TicketRefused as refused:
        raise Refused("ticket_refused", f"The permission is not valid ({refused.reason}).") from refused
    if claims.host != config.name or claims.slot != HOME or claims.view_only:
        raise Refused("ticket_refused", "The permission is for something else.")
    if not WALLET.fullmatch(wallet) or not BASE.fullmatch(base):
        raise Refused("ticket_refused", "The permission names no home.")
    if not generation and not (config.homes_dir / wallet).is_dir():
        raise Refused("home_missing", "The home is not on this host.")
    try:
        home = homes.ensure(config, wallet, generation, base)
        return os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (HostRefused, OSError) as error:
        raise Refused(getattr(error, "code", "home_missing"), "The home cannot be opened now.") from error
