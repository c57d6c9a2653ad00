"""The whole audit: the books, and the chains unless told to leave them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from controller.auditor import deposits, onchain, storage, usage
from controller.auditor.books import Books, Finding, journal, seals
from controller.auditor.quotes import quotes
from controller.auditor.rpc import Rpc, Silent
from controller.settings import Settings

CHECKS = (
    journal,
    seals,
    usage.windows,
    usage.holds,
    usage.returned,
    storage.homes,
    deposits.events,
    deposits.entries,
    quotes,
)
# What reading mangled rows comes to; whatever it is, it is found.
NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Report:
    """What the audit found. `head` is the last link of the hash chain: keep it, elsewhere."""

    findings: list[Finding]
    transfers: int
    head: str
    chains: list[int]
    unchecked: list[str]
    withdrawals: list[dict[str, Any]]


def audit(
    settings: Settings, progress: Progress, *, offline: bool = False, since: str | None = None
) -> Report:
    """Audit everything in one snapshot of the database.

    Args:
        settings: where the database and the chains are.
        progress: told each check by name, and how far it is.
        offline: leave the chains out.
        since: the head of an earlier audit; the journal must still contain it.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    engine = create_engine(settings.database.url, isolation_level="REPEATABLE READ", poolclass=NullPool)
    with engine.connect() as db:
        db.execution_options(postgresql_readonly=True)
        books = read(db, progress)
        if since is not None and since not in books.batches:
            books.find("journal", since, "is no longer part of the hash chain: the journal was rewritten")
        chains = [] if offline else _chains(settings)
        for chain in chains:
            _check(books, chain)
    return Report(
        books.findings,
        len(books.transfers),
        books.head,
        [chain.chain_id for chain in chains],
        [what for chain in chains for what in chain.unchecked],
        [sent for chain in chains for sent in chain.withdrawals],
    )


def read(db: Connection, progress: Progress) -> Books:
    """The database's part of the audit, in the transaction of a connection."""
    books = Books(db, progress)
    for check in CHECKS:
        progress(check.__name__, 0)
        try:
            check(books)
        except NONSENSE as error:
            books.find(check.__name__, "rows", f"make no sense ({type(error).__name__}: {error})")
    return books


def _check(books: Books, chain: onchain.Chain) -> None:
    try:
        onchain.check(books, chain)
    except Silent as error:
        books.find("chain", f"chain {chain.chain_id}", f"cannot be read ({error}); --offline leaves it out")
    finally:
        chain.rpc.close()
        chain.holder_token[1].close()


def _chains(settings: Settings) -> list[onchain.Chain]:
    tokens = {"usdc": settings.usdc.contract.lower(), "axgt": settings.axgt.contract.lower()}
    home = settings.chain
    return [
        onchain.Chain(
            chain_id=chain.chain_id,
            rpc=Rpc(chain.rpc_urls),
            start=chain.start_block,
            wallets=chain.wallets,
            tokens={
                contract: asset
                for asset, contract in tokens.items()
                if settings.chain_of("usdc" if asset == "usdc" else "axgt").chain_id == chain.chain_id
            },
            holder_token=(tokens["axgt"], Rpc(home.rpc_urls)),
        )
        for chain in settings.chains
    ]
