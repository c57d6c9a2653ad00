"""How long after its sixth confirmation a deposit is credited, with nobody clicking: real time, real worker loops."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from controller.adapters.chain import Web3Chain
from controller.adapters.clock import SystemClock
from controller.adapters.database import PostgresDatabase
from controller.services.deps import Deps
from controller.worker.chain_loops import chain_loops
from deposits.chain import ManualChain
from deposits.node import Wire
from deposits.stage import ETH_MINIMUM, USDC_MINIMUM, Stage

LOOK_S = 0.005
LONGEST_S = 120


def delays(stage: Stage, deposits: int) -> list[float]:
    """Seconds from the block that is a deposit's sixth confirmation to its credit; a block comes every second."""
    stage.begin(1)
    chain = stage.chains[0]
    settings = stage.settings({"chain": {"rpc_urls": [chain.wire.url], "start_block": chain.base + 1}})
    blocks: dict[int, float] = {}
    credited: dict[str, float] = {}
    stopping = threading.Event()
    watchers = [
        threading.Thread(target=_heads, args=(chain.wire.url, blocks, stopping)),
        threading.Thread(target=_credits, args=(stage.conninfo, credited, stopping)),
    ]
    with _worker(settings, stopping):
        for watcher in watchers:
            watcher.start()
        try:
            sent = _pay(chain, deposits)
            _wait(lambda: len(credited) == len(sent))
        finally:
            stopping.set()
            for watcher in watchers:
                watcher.join()
            chain.wire("evm_setIntervalMining", 0)
    sixth = {tx_hash: _block_of(chain, tx_hash) + settings.chain.confirmations - 1 for tx_hash in sent}
    return [credited[tx_hash] - blocks[sixth[tx_hash]] for tx_hash in sent]


@contextmanager
def _worker(settings: Any, stopping: threading.Event) -> Iterator[None]:
    """The chain's loops as the worker runs them."""
    unused: Any = None
    database = PostgresDatabase(settings.database.url)
    with closing(Web3Chain(settings)) as reader:
        deps = Deps(
            settings, SystemClock(), database, {settings.chain.chain_id: reader}, unused, unused, lambda: "-"
        )
        loops = chain_loops(deps, stopping)
        threads = [loop.start() for loop in loops]
        try:
            yield
        finally:
            stopping.set()
            for loop, thread in zip(loops, threads, strict=True):
                loop.wake.set()
                thread.join()
            database.engine.dispose()


def _pay(chain: ManualChain, deposits: int) -> list[str]:
    """Payments at odd moments while the chain mines by itself."""
    chain.wire("evm_setIntervalMining", 1)
    sent = []
    for number in range(deposits):
        if number % 2:
            paid = (chain.revenue, USDC_MINIMUM + number)
            made = chain.call("alice", chain.deployment.usdc, "MockUsdc", "transfer", *paid)
        else:
            made = chain.send("alice", chain.revenue, ETH_MINIMUM + number)
        sent.append(made.tx_hash)
        time.sleep(0.37)
    return sent


def _heads(url: str, blocks: dict[int, float], stopping: threading.Event) -> None:
    """When each block could first be seen."""
    wire, known = Wire(url), 0
    while not stopping.is_set():
        head = int(wire("eth_blockNumber"), 16)
        now = time.monotonic()
        for number in range(known + 1, head + 1):
            blocks.setdefault(number, now)
        known = head
        time.sleep(LOOK_S)
    wire.close()


def _credits(conninfo: str, credited: dict[str, float], stopping: threading.Event) -> None:
    """When each credit could first be read."""
    query = "SELECT tx_hash FROM money_event WHERE state IN ('credited', 'final')"
    with psycopg.connect(conninfo, autocommit=True) as db:
        while not stopping.is_set():
            found = db.execute(query).fetchall()
            now = time.monotonic()
            for (tx_hash,) in found:
                credited.setdefault(tx_hash, now)
            time.sleep(LOOK_S)


def _wait(done: Any) -> None:
    for _ in itertools.takewhile(lambda _: not done(), range(int(LONGEST_S / 0.1))):
        time.sleep(0.1)
    if not done():
        raise RuntimeError(f"not every deposit was credited within {LONGEST_S} s")


def _block_of(chain: ManualChain, tx_hash: str) -> int:
    return int(chain.wire("eth_getTransactionReceipt", tx_hash)["blockNumber"], 16)
