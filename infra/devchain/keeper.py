"""Runs the local chain: mines its blocks and makes each durable before the next.

A transaction is mined at once, else a block comes every second; while nobody uses the chain, every half
minute. Because no block is mined before the last one with transactions is on disk, a kill can only lose the
newest block: whatever has two confirmations survives. Empty blocks may be lost; they come again, empty.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from infra.devchain.anvil import Anvil
from infra.devchain.memory import HISTORY, Memory
from infra.devchain.rpc import Rpc, RpcUnreachable

BLOCK_S = 1.0
QUIET_AFTER_S = 300.0
QUIET_BLOCK_S = 30.0
# anvil keeps every block's hash in every state it remembers: 60 KiB for each block since its start. It is
# renewed when nobody has sent anything for a while, and at three times as many blocks in any case.
RENEW_AFTER_BLOCKS = 4_000
RENEW_IDLE_S = 30.0
# Writing down empty blocks may take a twentieth of our time, and comes no more often than this.
_EMPTY_SHARE = 20
_EMPTY_EVERY_S = 5.0


class Keeper:
    """One chain in `folder`, served on a loopback port."""

    def __init__(self, program: Path, folder: Path, port: int) -> None:
        self._program = program
        self._port = port
        self._memory = Memory(folder)
        self._used_at = time.monotonic()
        self._keep_at = 0.0
        self._kept = 0

    def run(self) -> None:
        """Serve until interrupted. anvil is renewed now and then, to give memory back."""
        while True:
            options, ahead_s = self._memory.recall()
            history = ("--prune-history", str(HISTORY))
            with Anvil(self._program, self._port, ["--no-mining", *history, *options]) as node:
                if ahead_s:
                    node.rpc("evm_increaseTime", hex(ahead_s))
                news = connect(node.websocket_url)
                with news:
                    self._mine(node.rpc, news)

    def _mine(self, rpc: Rpc, news: ClientConnection) -> None:
        first = self._kept = rpc.head()
        _subscribe(news)
        try:
            while not self._is_old(self._kept - first):
                arrived = self._wait(news)
                if arrived and int(rpc("txpool_status")["pending"], 16) == 0:
                    continue  # mined together with the one before it
                rpc("evm_mine")
                self._keep(rpc)
        finally:
            with suppress(RpcUnreachable):
                self._keep(rpc, now=True)

    def _wait(self, news: ClientConnection) -> bool:
        """Until a transaction arrives (True) or the next block is due."""
        try:
            news.recv(timeout=QUIET_BLOCK_S if self._idle_s() > QUIET_AFTER_S else BLOCK_S)
        except TimeoutError:
            return False
        self._used_at = time.monotonic()
        return True

    def _idle_s(self) -> float:
        return time.monotonic() - self._used_at

    def _is_old(self, blocks: int) -> bool:
        idle = self._idle_s() > RENEW_IDLE_S
        return blocks > (RENEW_AFTER_BLOCKS if idle else 3 * RENEW_AFTER_BLOCKS)

    def _keep(self, rpc: Rpc, *, now: bool = False) -> None:
        head = rpc("eth_getBlockByNumber", "latest", False)
        number = int(head["number"], 16)
        # More than one block at once was mined by someone else: it may hold anything.
        changed = bool(head["transactions"]) or number != self._kept + 1
        started = time.monotonic()
        if not (changed or now or started >= self._keep_at):
            self._kept = number
            return
        dump = bytes.fromhex(rpc("anvil_dumpState", False)[2:])
        self._memory.keep(dump, number, head["hash"], changed=changed)
        self._kept = number
        ended = time.monotonic()
        self._keep_at = ended + max(_EMPTY_EVERY_S, (ended - started) * _EMPTY_SHARE)


def _subscribe(news: ClientConnection) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newPendingTransactions"]}
    news.send(json.dumps(request))
    news.recv(timeout=10)
