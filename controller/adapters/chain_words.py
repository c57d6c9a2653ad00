"""The words of JSON-RPC and of contract calls that we read: hex numbers, 32-byte words, Transfer logs.

Only what the chain reader needs; pure. Sources: ERC-20, EIP-1898, Chainlink's AggregatorV3Interface.
"""

from __future__ import annotations

from typing import Any

from controller.services.ports import Payment

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LATEST_ROUND_DATA = "0xfeaf968c"
DECIMALS = "0x313ce567"
BALANCE_OF = "0x70a08231"
WORD = 64


def integer(text: str) -> int:
    """A JSON-RPC quantity."""
    return int(text, 16)


def padded(address: str) -> str:
    """An address as one 32-byte word, without 0x."""
    return address.lower().removeprefix("0x").rjust(WORD, "0")


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


def pays_eth(tx: dict[str, Any], revenue: str) -> bool:
    """Whether a transaction sends ETH to the revenue wallet itself (not through a contract)."""
    return (tx.get("to") or "").lower() == revenue and integer(tx["value"]) > 0


def is_transfer(log: dict[str, Any]) -> bool:
    """Whether a log is an ERC-20 Transfer of more than nothing: three topics, one word of data."""
    topics, data = log["topics"], log["data"].removeprefix("0x")
    return (
        not log.get("removed")
        and len(topics) == 3
        and topics[0].lower() == TRANSFER
        and len(data) == WORD
        and int(data, 16) > 0
    )


def payments(
    tx: dict[str, Any], receipt: dict[str, Any], revenue: str, tokens: dict[str, str]
) -> list[Payment]:
    """All payments to the revenue wallet in one successful transaction.

    A payment's position is its place in the transaction: `eth:0` for the transaction's own call frame,
    `log:<n>` for the n-th log of the receipt; its index within the block would change in a reorganisation.

    Args:
        tx: as `eth_getTransactionByHash` gives it.
        receipt: its receipt; status 1.
        revenue: the revenue wallet, lower case.
        tokens: asset names by contract, lower case; other contracts' logs do not count.
    """
    found = []
    if pays_eth(tx, revenue):
        found.append(("eth:0", "eth", tx["from"].lower(), integer(tx["value"])))
    to_revenue = padded(revenue)
    for place, log in enumerate(receipt["logs"]):
        asset = tokens.get(log["address"].lower())
        if asset and is_transfer(log) and log["topics"][2].lower().removeprefix("0x") == to_revenue:
            payer = "0x" + log["topics"][1].lower()[-40:]
            found.append((f"log:{place}", asset, payer, integer(log["data"])))
    number = integer(receipt["blockNumber"])
    return [
        Payment(
            tx_hash=receipt["transactionHash"].lower(),
            position=position,
            asset=asset,
            payer=payer,
            amount=amount,
            block_number=number,
            block_hash=receipt["blockHash"],
            recipient=revenue,
            sender=tx["from"].lower(),
            nonce=integer(tx["nonce"]),
        )
        for position, asset, payer, amount in found
    ]
