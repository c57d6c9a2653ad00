"""The real ports, made from settings; web, worker and commands all start from here."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from controller.adapters.chain import Web3Chain
from controller.adapters.clock import SteadyClock
from controller.adapters.database import PostgresDatabase
from controller.adapters.sign_in import SiweVerifier
from controller.adapters.tickets import Ed25519Tickets
from controller.errors import SettingsInvalid
from controller.services.deps import Deps
from controller.services.ports_settlement import Settler
from controller.settings import Settings


def make_deps(settings: Settings) -> Deps:
    """Connect the services to PostgreSQL, the chain, the ticket key and the clock of this machine.

    Raises:
        SettingsInvalid: a key file is missing or broken.
    """
    database = PostgresDatabase(settings.database.url)
    clock = SteadyClock(database)
    return Deps(
        settings=settings,
        clock=clock,
        database=database,
        chains={chain.chain_id: Web3Chain(settings, chain) for chain in settings.chains},
        tickets=Ed25519Tickets(settings.secrets.ticket_private_key),
        sign_in=SiweVerifier(clock, {chain.chain_id: chain.rpc_urls for chain in settings.chains}),
        new_id=lambda: str(uuid.uuid4()),
        settler=_settler(settings),
    )


def _settler(settings: Settings) -> Settler | None:
    if settings.x402 is None:
        return None
    # Its protocol library takes a moment to load, and most commands settle nothing.
    from controller.adapters.settlement import X402Settler  # noqa: PLC0415

    return X402Settler(settings, settings.x402)


def check_files(settings: Settings) -> None:
    """Every file the site needs, looked at before it starts.

    Raises:
        SettingsInvalid: with all that are missing or unreadable, not just the first.
    """
    needed: dict[str, Path] = {
        "secrets.web_key": settings.secrets.web_key,
        "secrets.ticket_private_key": settings.secrets.ticket_private_key,
        "secrets.guard_token": settings.secrets.guard_token,
        "novnc_dir (core/rfb.js)": settings.novnc_dir / "core" / "rfb.js",
    }
    if settings.local is not None:
        needed |= {"local.faucet_key": settings.local.faucet_key, "local.ethers_js": settings.local.ethers_js}
    if settings.x402 is not None:
        needed["x402.settlement_key"] = settings.x402.settlement_key
    missing = [
        f"  {name}: cannot read {path}" for name, path in needed.items() if not os.access(path, os.R_OK)
    ]
    if missing:
        raise SettingsInvalid("\n".join([f"{len(missing)} file(s) are missing:", *missing]))
