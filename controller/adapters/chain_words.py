"""The words of JSON-RPC and of contract calls that we read: hex numbers, 32-byte words, Transfer logs.

Only what the chain reader needs; pure. A node's answer that has another form raises ValueError, KeyError or
TypeError. Sources: ERC-20, EIP-1898, Chainlink's AggregatorV3Interface, Uniswap v3's pool.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from controller.services.ports import Block, Payment

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LATEST_ROUND_DATA = "0xfeaf968c"
ROUND_DATA = "0x9a6fc8f5"
DECIMALS = "0x313ce567"
BALANCE_OF = "0x70a08231"
TOKEN0 = "0x0dfe1681"
TOKEN1 = "0xd21220a7"
SLOT0 = "0x3850c7bd"
LIQUIDITY = "0x1a686502"
OBSERVE = "0x883bdbfd"
WORD = 64
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def integer(text: str) -> int:
    """A JSON-RPC quantity, at most 256 bits."""
    if not text.startswith("0x") or len(text) > WORD + 2:
        raise ValueError("no quantity")
    return int(text, 16)


def hash32(text: str) -> str:
    """A block's or transaction's hash, lower case."""
    if not _HASH.fullmatch(text):
        raise ValueError("no hash")
    return text.lower()


def address(text: str) -> str:
    """An address, lower case."""
    if not _ADDRESS.fullmatch(text):
        raise ValueError("no address")
    return text.lower()


def padded(account: str) -> str:
    """An address as one 32-byte word, without 0x."""
    return account.lower().removeprefix("0x").rjust(WORD, "0")


def split(data: str, count: int) -> tuple[int, ...]:
    """The first words of a call's answer as unsigned integers.

    Raises:
        ValueError: the answer is shorter than that.
    """
    body = data.removeprefix("0x")
    if len(body) < count * WORD:
        raise ValueError("the contract's answer is too short")
    return tuple(int(body[i * WORD : (i + 1) * WORD], 16) for i in range(count))


def signed(word: int) -> int:
    """A word read as a two's-complement integer."""
    return word - 2**256 if word >= 2**255 else word


def block_of(found: Mapping[str, Any]) -> Block:
    """A block's header."""
    return Block(
        number=integer(found["number"]),
        hash=hash32(found["hash"]),
        parent_hash=hash32(found["parentHash"]),
        timestamp_s=integer(found["timestamp"]),
    )


def pays_eth(tx: Mapping[str, Any], wallets: Collection[str]) -> bool:
    """Whether a transaction sends ETH to a revenue wallet itself (not through a contract)."""
    return (tx.get("to") or "").lower() in wallets and integer(tx["value"]) > 0


def is_transfer(log: Mapping[str, Any]) -> bool:
    """Whether a log is an ERC-20 Transfer of more than nothing: three topics, one word of data."""
    topics, data = log["topics"], log["data"].removeprefix("0x")
    return (
        not log.get("removed")
        and len(topics) == 3
        and topics[0].lower() == TRANSFER
        and len(data) == WORD
        and int(data, 16) > 0
    )


def from_topic(topic: str) -> str:
    """The address in an indexed argument."""
    return address("0x" + hash32(topic)[-40:])


def paid_to(log: Mapping[str, Any]) -> str:
    """Whom a Transfer log pays."""
    return from_topic(log["topics"][2])


def paid_by(log: Mapping[str, Any]) -> str:
    """Who pays in a Transfer log."""
    return from_topic(log["topics"][1])


def payment(
    tx: Mapping[str, Any],
    at: tuple[int, str],
    asset_at: tuple[str, str],
    parties: tuple[str, str],
    amount: int,
) -> Payment:
    """One payment.

    Args:
        tx: its transaction, as `eth_getTransactionByHash` gives it.
        at: number and hash of the block.
        asset_at: `eth`, `usdc` or `axgt`, and its place in the transaction.
        parties: payer and revenue wallet, lower case.
        amount: in the asset's smallest unit.
    """
    return Payment(
        tx_hash=hash32(tx["hash"]),
        position=asset_at[1],
        asset=asset_at[0],
        payer=parties[0],
        amount=amount,
        block_number=at[0],
        block_hash=at[1],
        recipient=parties[1],
        sender=address(tx["from"]),
        nonce=integer(tx["nonce"]),
    )


def payments(
    tx: Mapping[str, Any], receipt: Mapping[str, Any], wallets: Collection[str], tokens: Mapping[str, str]
) -> list[Payment]:
    """What one transaction paid by itself and by logs; nothing where it failed. Calls are `chain_traces`'.

    A payment's position is its place in the transaction: `eth:0` for the transaction's own call frame,
    `log:<n>` for the n-th log of the receipt; its index within the block would change in a reorganisation.

    Args:
        tx: as `eth_getTransactionByHash` gives it.
        receipt: its receipt.
        wallets: the revenue wallets, lower case.
        tokens: asset names by contract, lower case; other contracts' logs do not count.
    """
    if integer(receipt["status"]) != 1:
        return []
    at = integer(receipt["blockNumber"]), hash32(receipt["blockHash"])
    found = []
    if pays_eth(tx, wallets):
        parties = address(tx["from"]), address(tx["to"])
        found.append(payment(tx, at, ("eth", "eth:0"), parties, integer(tx["value"])))
    for place, log in enumerate(receipt["logs"]):
        asset = tokens.get(log["address"].lower())
        if asset and is_transfer(log) and paid_to(log) in wallets:
            parties = paid_by(log), paid_to(log)
            found.append(payment(tx, at, (asset, f"log:{place}"), parties, int(log["data"], 16)))
    return found


def spent(tx: Mapping[str, Any], receipt: Mapping[str, Any]) -> int:
    """Wei that a transaction took from its sender: the value it moved, and every fee its receipt names."""
    fee = integer(receipt["gasUsed"]) * integer(receipt.get("effectiveGasPrice") or tx["gasPrice"])
    fee += integer(receipt.get("blobGasUsed") or "0x0") * integer(receipt.get("blobGasPrice") or "0x0")
    fee += integer(receipt.get("l1Fee") or "0x0")
    return fee + (integer(tx["value"]) if integer(receipt["status"]) == 1 else 0)
