"""The ports a service works with, made once by `app.py`, the worker or a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.services.ports import ChainReader, Clock, Database, SignInVerifier, TicketSigner
from controller.services.ports_settlement import Settler
from controller.settings import Settings


@dataclass(frozen=True)
class Deps:
    """Everything a service may touch. `new_id` makes random identifiers; tests make them predictable.

    `chains` holds a reader for each configured chain, by chain id; `settler` is there
    where x402 is configured.
    """

    settings: Settings
    clock: Clock
    database: Database
    chains: Mapping[int, ChainReader]
    tickets: TicketSigner
    sign_in: SignInVerifier
    new_id: Callable[[], str]
    settler: Settler | None = None

    @property
    def chain(self) -> ChainReader:
        """The home chain: sign-in, ETH, AXGT and holder tiers."""
        return self.chains[self.settings.chain.chain_id]
