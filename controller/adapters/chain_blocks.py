"""Blocks and transactions as one node names them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from controller.adapters import chain_words as words
from controller.adapters.chain_node import Call, Node, NodeFailed, Unknown
from controller.services.ports import Block, TransactionFacts


def header(node: Node, at: str) -> Block:
    """A block's header by number or tag; raises Unknown where the node has none."""
    found = _block(node.ask("eth_getBlockByNumber", at, False))
    if at.startswith("0x") and found.number != int(at, 16):
        raise NodeFailed("another block than the one asked for")
    return found


def _block(answer: Any) -> Block:
    if answer is None:
        raise Unknown
    return words.block_of(answer)


def own_blocks(node: Node, numbers: Iterable[int]) -> list[Block]:
    """Headers by number, below the head that this node named."""
    calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
    answers = node.asked(calls)
    if None in answers:
        raise NodeFailed("does not know blocks below the head it named")
    return [words.block_of(answer) for answer in answers]


def linked(before: Block, blocks: Sequence[Block]) -> list[Block]:
    """The blocks up to where one does not follow its parent."""
    found: list[Block] = []
    for block in blocks:
        if block.parent_hash != before.hash or block.number != before.number + 1:
            break
        found.append(block)
        before = block
    return found


def facts(node: Node, tx_hash: str) -> TransactionFacts:
    """What a node knows of one transaction, in one request."""
    asked: list[Call] = [("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])]
    tx, receipt = node.asked(asked)
    if tx is None:
        return TransactionFacts(tx_hash, known=False)
    sender, nonce = words.address(tx["from"]), words.integer(tx["nonce"])
    if receipt is None:
        return TransactionFacts(tx_hash, known=True, sender=sender, nonce=nonce)
    return TransactionFacts(
        tx_hash=tx_hash,
        known=True,
        block_number=words.integer(receipt["blockNumber"]),
        block_hash=words.hash32(receipt["blockHash"]),
        succeeded=words.integer(receipt["status"]) == 1,
        sender=sender,
        nonce=nonce,
    )
