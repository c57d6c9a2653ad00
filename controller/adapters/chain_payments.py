"""All money that reached the revenue wallets in given blocks, as one node shows it.

Tokens by their logs, direct ETH by the block's transactions, ETH through contracts by what the wallets'
balances grew beyond that: only then are transactions traced. Source: payments.md 2.2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.adapters import chain_words as words
from controller.adapters.chain_found import NOTHING, Found
from controller.adapters.chain_logs import TransferLogs
from controller.adapters.chain_node import Call, Node, NodeFailed, Refusal, TooMuch, Unknown
from controller.adapters.chain_standing import Memory, Standings
from controller.adapters.chain_traces import TRACER, may_call, moves
from controller.services.ports import Block, BlockMoney, Payment, Sent

log = logging.getLogger(__name__)

FULL = 8

Raw = Mapping[str, Any]


class MoneyReader:
    """One node's view of the money; made for one question, it remembers what it was told.

    Its methods raise Unknown where the node does not know a block, NodeFailed or Refusal where it does not
    answer.
    """

    def __init__(
        self, node: Node, wallets: Sequence[str], tokens: Mapping[str, str], memory: Memory, *, trace: bool
    ) -> None:
        """Args: the node; revenue wallets; asset names by contract; what it said lately; if it may trace."""
        self._node, self._wallets, self._tokens = node, wallets, tokens
        self._trace = trace
        self._standings = Standings(node, wallets, memory)
        self._logs = TransferLogs(node, wallets, list(tokens))

    def read(self, blocks: Sequence[Block]) -> list[Found]:
        """The money of each of several blocks that follow one another."""
        logs: dict[str, list[Raw]] = {block.hash: [] for block in blocks}
        for entry in self._logs.incoming(blocks):
            at = words.hash32(entry["blockHash"])
            if at not in logs:
                raise Unknown
            logs[at].append(entry)
        busy = self._standings.moved(blocks) | {at for at, entries in logs.items() if entries}
        full = self._full([block.hash for block in blocks if block.hash in busy])
        return [
            self._block(block, full[block.hash], logs[block.hash]) if block.hash in busy else Found(NOTHING)
            for block in blocks
        ]

    def read_transaction(self, tx_hash: str) -> Found:
        """What one transaction paid; nothing where it failed or is not mined."""
        mined = self._mined(tx_hash)
        if mined is None:
            return Found(NOTHING)
        tx, receipt = mined
        found = words.payments(tx, receipt, self._wallets, self._tokens)
        if words.integer(receipt["status"]) != 1 or not may_call(tx):
            return Found(BlockMoney(found))
        block_hash = words.hash32(receipt["blockHash"])
        block = words.block_of(_known(self._node.ask("eth_getBlockByHash", block_hash, False)))
        if not self._standings.moved([block]):
            return Found(BlockMoney(found))
        tree = self._maybe_tree(tx)
        found += self._inner(tx, (block.number, block.hash), tree) if tree else []
        return Found(BlockMoney(found), blind=tree is None)

    def read_sent(self, tx_hash: str) -> list[Sent]:
        """What the wallets themselves sent away in one transaction, calls included."""
        mined = self._mined(tx_hash)
        if mined is None or words.integer(mined[1]["status"]) != 1:
            return []
        tx, receipt = mined
        own = {"type": "CALL", "from": tx["from"], "to": tx.get("to"), "value": tx["value"]}
        tree = (self._maybe_tree(tx) if may_call(tx) else None) or own
        found = [Sent("eth", move.to, move.wei) for move in moves(tree) if move.sender in self._wallets]
        for entry in receipt["logs"]:
            asset = self._tokens.get(entry["address"].lower())
            if asset and words.is_transfer(entry) and words.paid_by(entry) in self._wallets:
                found.append(Sent(asset, words.paid_to(entry), int(entry["data"], 16)))
        return found

    def _mined(self, tx_hash: str) -> tuple[Raw, Raw] | None:
        tx = self._node.ask("eth_getTransactionByHash", tx_hash)
        if tx is None or tx.get("blockHash") is None:
            return None
        if words.hash32(tx["hash"]) != tx_hash:
            raise NodeFailed("another transaction than the one asked for")
        (receipt,) = self._receipts([tx], words.hash32(tx["blockHash"]))
        return tx, receipt

    def _receipts(self, txs: Iterable[Raw], block_hash: str) -> list[Raw]:
        wanted = [words.hash32(tx["hash"]) for tx in txs]
        calls: list[Call] = [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in wanted]
        found = [_known(receipt) for receipt in self._node.asked(calls)]
        for tx_hash, receipt in zip(wanted, found, strict=True):
            if words.hash32(receipt["blockHash"]) != block_hash:
                raise Unknown
            if words.hash32(receipt["transactionHash"]) != tx_hash:
                raise NodeFailed("a receipt of another transaction")
        return found

    def _full(self, hashes: Sequence[str]) -> dict[str, Raw]:
        """Whole blocks; a few at a time, for they may be large."""
        found: dict[str, Raw] = {}
        for start in range(0, len(hashes), FULL):
            part = hashes[start : start + FULL]
            answers = self._node.asked([("eth_getBlockByHash", [block_hash, True]) for block_hash in part])
            for block_hash, answer in zip(part, answers, strict=True):
                if words.hash32(_known(answer)["hash"]) != block_hash:
                    raise NodeFailed("another block than the one asked for")
                found[block_hash] = answer
        return found

    def _block(self, block: Block, full: Raw, logs: list[Raw]) -> Found:
        logged = {words.hash32(entry["transactionHash"]) for entry in logs}
        ours = [tx for tx in full["transactions"] if self._is_ours(tx) or words.hash32(tx["hash"]) in logged]
        if not logged <= {words.hash32(tx["hash"]) for tx in ours}:
            raise NodeFailed("its logs and its block disagree")
        receipts = self._receipts(ours, block.hash)
        payments = [
            payment
            for tx, receipt in zip(ours, receipts, strict=True)
            for payment in words.payments(tx, receipt, self._wallets, self._tokens)
        ]
        assets = {payment.asset for payment in payments} - {"eth"}
        doubtful = tuple(
            sorted(a for c, a in self._tokens.items() if a in assets and self._logs.lie(c, block))
        )
        rest = self._rest(block, payments, zip(ours, receipts, strict=True))
        if rest is None:
            return Found(BlockMoney(payments, 0, doubtful), blind=True)
        inner, complete = (
            self._traced(full["transactions"], block, rest) if any(rest.values()) else ([], True)
        )
        unexplained = sum(wei for wei in rest.values() if wei > 0)
        return Found(BlockMoney([*payments, *inner], unexplained, doubtful), untraced=not complete)

    def _is_ours(self, tx: Raw) -> bool:
        return words.pays_eth(tx, self._wallets) or tx["from"].lower() in self._wallets

    def _rest(
        self, block: Block, payments: Iterable[Payment], ours: Iterable[tuple[Raw, Raw]]
    ) -> dict[str, int] | None:
        """By wallet, what its balance grew by beyond its transactions; None where no state is kept."""
        explained = dict.fromkeys(self._wallets, 0)
        for payment in payments:
            if payment.asset == "eth":
                explained[payment.recipient] += payment.amount
        for tx, receipt in ours:
            if tx["from"].lower() in explained:
                explained[tx["from"].lower()] -= words.spent(tx, receipt)
        grown = self._standings.grown(block, list(explained.values()))
        return None if grown is None else dict(zip(explained, grown, strict=True))

    def _traced(self, txs: Iterable[Raw], block: Block, rest: dict[str, int]) -> tuple[list[Payment], bool]:
        """Payments found by tracing until the rest is explained; it is taken down on the way.

        Returns:
            the payments, and whether every tree that was needed could be had.
        """
        found: list[Payment] = []
        complete = True
        for tx in filter(may_call, txs):
            if not any(rest.values()):
                break
            tree = self._maybe_tree(tx)
            if tree is None:
                complete = False
                continue
            found += self._inner(tx, (block.number, block.hash), tree)
            for move in moves(tree):
                for wallet, wei in ((move.to, -move.wei), (move.sender, move.wei)):
                    if wallet in rest and move.path != "0":
                        rest[wallet] += wei
        return found, complete or not any(rest.values())

    def _maybe_tree(self, tx: Raw) -> Raw | None:
        """A transaction's call tree; None where this node makes none of it."""
        if not self._trace:
            return None
        try:
            return _known(self._node.ask("debug_traceTransaction", words.hash32(tx["hash"]), TRACER))
        except (Refusal, TooMuch) as error:
            if isinstance(error, Refusal) and error.no_such_method:
                self._trace = False
            log.warning("chain node %d traces no %s: %s", self._node.place, tx["hash"], error)
            return None

    def _inner(self, tx: Raw, at: tuple[int, str], tree: Raw) -> list[Payment]:
        return [
            words.payment(tx, at, ("eth", f"eth:{move.path}"), (move.sender, move.to), move.wei)
            for move in moves(tree)
            if move.to in self._wallets and move.path != "0"
        ]


def _known(answer: Raw | None) -> Raw:
    if answer is None:
        raise Unknown
    return answer
