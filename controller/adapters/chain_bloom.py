"""Transfers that a node's index of logs does not show although its block has them.

Many providers index logs after they serve the block; until then `eth_getLogs` answers with nothing, and a
payment would be passed over for ever. A block's bloom says whether there may be one; its receipts decide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eth_utils.crypto import keccak

from controller.adapters.chain_node import Call, Node, Refusal, Unknown
from controller.adapters.chain_words import TRANSFER, hash32, padded
from controller.services.ports import Block

Raw = Mapping[str, Any]
BITS = 2048
_TRANSFER = bytes.fromhex(TRANSFER[2:])


def may_hold(bloom: str, *parts: bytes) -> bool:
    """Whether a block may have a log of these addresses and topics (Yellow Paper, section 4.3.1)."""
    bits = int(bloom, 16)
    return all(bits >> place & 1 for part in parts for place in _places(part))


def _places(part: bytes) -> list[int]:
    digest = keccak(part)
    return [int.from_bytes(digest[i : i + 2], "big") % BITS for i in (0, 2, 4)]


def unshown(
    node: Node, blocks: Sequence[Block], shown: Collection[str], wallets: Sequence[str], tokens: Sequence[str]
) -> list[Raw]:
    """Transfers to a wallet in blocks for which the node shows none, by their receipts.

    Args:
        node: who is asked.
        blocks: to look at, known to the node.
        shown: hashes of the blocks whose logs it does show.
        wallets: revenue wallets, lower case.
        tokens: the tokens' contracts, lower case.

    Raises:
        Unknown: the node does not know one of the blocks, or has no receipts of it yet.
    """
    silent = [block.hash for block in blocks if block.hash not in shown]
    if not silent or not tokens:
        return []
    found: list[Raw] = []
    for header in node.asked([("eth_getBlockByHash", [block_hash, False]) for block_hash in silent]):
        if header is None:
            raise Unknown
        if _may_pay(str(header.get("logsBloom") or "0x0"), wallets, tokens):
            found += _of_receipts(node, header, wallets, tokens)
    return found


def _may_pay(bloom: str, wallets: Sequence[str], tokens: Sequence[str]) -> bool:
    return any(
        may_hold(bloom, bytes.fromhex(token[2:]), _TRANSFER, bytes.fromhex(padded(wallet)))
        for token in tokens
        for wallet in wallets
    )


def _of_receipts(node: Node, header: Raw, wallets: Sequence[str], tokens: Sequence[str]) -> list[Raw]:
    topics = {"0x" + padded(wallet) for wallet in wallets}
    found: list[Raw] = []
    for receipt in _receipts(node, header):
        if receipt is None or hash32(receipt["blockHash"]) != hash32(header["hash"]):
            raise Unknown
        for entry in receipt["logs"]:
            names = [topic.lower() for topic in entry["topics"]]
            ours = len(names) == 3 and names[0] == TRANSFER and names[2] in topics
            if ours and entry["address"].lower() in tokens:
                found.append(entry)
    return found


def _receipts(node: Node, header: Raw) -> list[Any]:
    """All of a block's receipts: at once, or one by one where the node does not know how."""
    try:
        at_once = node.ask("eth_getBlockReceipts", hash32(header["hash"]))
    except Refusal:
        at_once = None
    if isinstance(at_once, list) and len(at_once) == len(header["transactions"]):
        return at_once
    calls: list[Call] = [("eth_getTransactionReceipt", [hash32(tx)]) for tx in header["transactions"]]
    return node.asked(calls)
