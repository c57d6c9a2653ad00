"""What interleavings run on: a database that is emptied, chains that go back, and the terms both sides know."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from fakes import make_settings
from postgres_kit import Cluster

from controller.migrations import migrate
from controller.settings import Settings
from deposits.chain import DOLLAR, ETHER, ManualChain, account, address, run_manual_chain
from deposits.node import Node
from deposits.oracle.terms import Ledgered, Terms
from deposits.stepped_database import SteppedDatabase
from infra.devchain.anvil import CHAIN_ID

ETH_MINIMUM = ETHER // 2_000
USDC_MINIMUM = DOLLAR
AXGT_MINIMUM = 100 * ETHER
PAYERS = ("alice", "bob", "carol", "mallory", "whale")
TRUNCATE_EVERY = 40
OLD_AFTER = 1_500  # anvil forgets the state of blocks after some thousands, also of those that were reverted
_names = itertools.count(1)


class Stage:
    """One worker's own database and chains."""

    def __init__(self, cluster: Cluster, template: str, anvil: Path, ports: Iterator[int]) -> None:
        self.name = f"stage_{os.getpid()}_{next(_names)}"
        cluster.run(f"CREATE DATABASE {self.name} TEMPLATE {template}")
        self.url = cluster.url(self.name)
        self.conninfo = f"host={cluster.socket_dir} user=postgres dbname={self.name}"
        self._anvil, self._ports = anvil, ports
        self._open, self._chains_open = ExitStack(), ExitStack()
        self._admin = self._open.enter_context(psycopg.connect(self.conninfo, autocommit=True))
        self._admin.execute("SET session_replication_role = replica")
        self._databases: dict[str, SteppedDatabase] = {}
        self.chains: list[ManualChain] = []
        self._used = 0
        self._tables = [
            name
            for (name,) in self._admin.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'"
            )
        ]

    def close(self) -> None:
        for database in self._databases.values():
            database.engine.dispose()
        self._chains_open.close()
        self._open.close()

    def begin(self, chains: int) -> None:
        """Everything as it was at the start."""
        if any(chain.mined > OLD_AFTER for chain in self.chains):
            self._chains_open.close()
            self.chains = []
        while len(self.chains) < chains:
            made = _peopled(self._anvil, self._ports, len(self.chains))
            self.chains.append(self._chains_open.enter_context(made))
        for chain in self.chains:
            chain.back()
        self._empty()

    def _empty(self) -> None:
        self._used += 1
        if self._used % TRUNCATE_EVERY == 1:
            self._admin.execute("TRUNCATE " + ", ".join(self._tables))
        else:
            self._admin.execute("; ".join(f"DELETE FROM {name}" for name in self._tables))

    def end(self) -> None:
        """Nobody steps any more."""
        self.clear()

    def clear(self) -> None:
        for database in self._databases.values():
            database.scheduler = None

    def database(self, actor: str) -> SteppedDatabase:
        """The actor's own connections; warm, so that setting them up is no step."""
        if actor not in self._databases:
            made = SteppedDatabase(self.url, self.conninfo)
            with made.begin():
                pass
            made.engine.connect().close()
            self._databases[actor] = made
        return self._databases[actor]

    def nodes(self) -> dict[str, Node]:
        """Nodes by host name: `node-a` to `node-c` of the home chain, `other-a` … of a second one."""
        found: dict[str, Node] = {}
        for prefix, chain in zip(("node", "other"), self.chains, strict=False):
            found |= {name.replace("node", prefix): node for name, node in chain.nodes.items()}
        return found

    def credited(self, chain_id: int) -> list[tuple[str, int]]:
        """Hash and block of every event that is credited."""
        query = "SELECT tx_hash, block_number FROM money_event WHERE chain_id = %s AND state IN ('credited', 'final')"
        return [(row[0], row[1]) for row in self._admin.execute(query, (chain_id,))]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database, for checks of a case."""
        return list(self._admin.execute(query, values))

    def settings(self, changed: dict[str, dict[str, Any]]) -> Settings:
        """The operator's configuration of a case: all rails on, defaults otherwise.

        A section `other` makes the second chain one that is watched; its values are that chain's.
        """
        changed = dict(changed)
        other = changed.pop("other", None)
        where = self.chains[0].deployment
        base: dict[str, Any] = {
            "chain": {
                "chain_id": self.chains[0].chain_id,
                "rpc_urls": ["http://node-a"],
                "genesis_hash": where.genesis_hash,
                "revenue_wallet": where.revenue_wallet,
                "start_block": self.chains[0].base + 1,
            },
            "eth": {"usd_feed": where.eth_usd_feed},
            "usdc": {"contract": where.usdc, "enabled": True},
            "axgt": {
                "contract": where.axgt,
                "enabled": True,
                "pool": where.axgt_pool,
                "second_feed": where.axgt_usd_feed,
                "daily_cap_gpu_minutes_wallet": 10**9,
                "daily_cap_gpu_minutes_total": 10**9,
            },
        }
        merged = {name: {**values, **self._named(changed.get(name, {}))} for name, values in base.items()}
        further = (
            [{**base["chain"], "name": "other", **self._of_other(), **other}] if other is not None else []
        )
        return make_settings(self.url, **{**changed, **merged}, further_chains=further)

    def _of_other(self) -> dict[str, Any]:
        chain = self.chains[1]
        genesis = chain.wire("eth_getBlockByNumber", "0x0", False)["hash"]
        where = {"rpc_urls": ["http://other-a"], "genesis_hash": genesis, "start_block": chain.base + 1}
        return {"chain_id": chain.chain_id, **where}

    def _named(self, values: dict[str, Any]) -> dict[str, Any]:
        """Addresses of the chain's contracts, which cases call by their names in the deployment."""
        return {
            key: getattr(self.chains[0].deployment, value) if str(key).endswith("_feed") else value
            for key, value in values.items()
        }

    def terms(self, settings: Settings) -> Terms:
        """The same in the oracle's words, from the case's own numbers."""
        where = self.chains[0].deployment
        rails = ("eth", settings.eth), ("usdc", settings.usdc), ("axgt", settings.axgt)
        return Terms(
            chains=tuple(self._watched(n, settings) for n in range(len(settings.chains))),
            conninfo=self.conninfo,
            enabled=frozenset(name for name, rail in rails if rail.enabled),
            minimum={"eth": ETH_MINIMUM, "usdc": USDC_MINIMUM, "axgt": AXGT_MINIMUM},
            eth_feed=where.eth_usd_feed,
            axgt=where.axgt.lower(),
            usdc=where.usdc.lower(),
            usdc_feed=settings.usdc.usd_feed,
            axgt_pool=where.axgt_pool,
            axgt_feed=where.axgt_usd_feed,
            axgt_floor_usd=settings.axgt.liquidity_floor_usd,
        )

    def _watched(self, number: int, settings: Settings) -> Ledgered:
        chain, watched = self.chains[number], settings.chains[number]
        tokens = {} if number else {chain.deployment.axgt.lower(): "axgt"}
        if settings.usdc.chain_id in {chain.chain_id, *([] if number else [None])}:
            tokens[chain.deployment.usdc.lower()] = "usdc"
        cap = watched.provisional_cap_minutes
        return Ledgered(
            chain_id=chain.chain_id,
            rpc_url=chain.wire.url,
            revenue=(chain.revenue, *(a.lower() for a in watched.former_revenue_wallets)),
            tokens=tokens,
            first_block=watched.start_block,
            confirmations=watched.confirmations,
            traced=watched.trace == "auto",
            sequencer=watched.sequencer_feed,
            sequencer_grace_s=watched.sequencer_grace_s,
            cap_gpu_ms=None if cap is None else cap * 60_000,
        )


@contextmanager
def _peopled(anvil: Path, ports: Iterator[int], number: int) -> Iterator[ManualChain]:
    """A chain with payers who own ETH, USDC and AXGT, and with the contracts they use."""
    with run_manual_chain(anvil, next(ports)) as chain:
        where = chain.deployment
        for name in PAYERS:
            chain.wire("anvil_setBalance", account(name).address, hex(1_000 * ETHER))
            chain.call("faucet", where.usdc, "MockUsdc", "mint", address(name), 1_000_000 * DOLLAR)
            chain.mine()
        holdings = {"whale": 3_000_000 * ETHER, "bob": 1_000 * ETHER}
        for name, units in holdings.items():
            chain.call("faucet", where.axgt, "Axgt", "mint", address(name), units)
        chain.wire("anvil_setBalance", account("revenue").address, hex(100 * ETHER))
        chain.call("faucet", where.usdc, "MockUsdc", "mint", address("revenue"), 1_000 * DOLLAR)
        chain.mine()
        chain.be(CHAIN_ID + number)
        chain.keep()
        yield chain


TEMPLATE = "bench_template"


def make_template(cluster: Cluster) -> None:
    """Migrate the database that every stage copies."""
    cluster.run(f"CREATE DATABASE {TEMPLATE}")
    migrate(cluster.url(TEMPLATE))


@contextmanager
def run_stage(cluster: Cluster, anvil: Path, ports: Iterator[int]) -> Iterator[Stage]:
    """A stage on a cluster that has the template."""
    stage = Stage(cluster, TEMPLATE, anvil, ports)
    try:
        yield stage
    finally:
        stage.close()
