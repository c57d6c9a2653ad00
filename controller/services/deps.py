"""The ports a service works with, made once by `app.py`, the worker or a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.services.ports import ChainReader, Clock, Database, SignInVerifier, TicketSigner
from controller.settings import Settings


@dataclass(frozen=True)
class Deps:
    """Everything a service may touch. `new_id` makes random identifiers; tests make them predictable."""

    settings: Settings
    clock: Clock
    database: Database
    chain: ChainReader
    tickets: TicketSigner
    sign_in: SignInVerifier
    new_id: Callable[[], str]
