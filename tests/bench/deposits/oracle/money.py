"""Every movement of value to the revenue wallets on the canonical chain, found by walking all of it.

Deliberately plain: every block with its receipts, a trace of every transaction, the balance at every height.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deposits.oracle.rpc import Asker
from deposits.oracle.terms import Ledgered

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
NOBODY = "0x" + "0" * 40
# What a dying contract leaves was paid by nobody who could ever ask for it: it stays unexplained.
MOVES_VALUE = {"CALL", "CREATE", "CREATE2"}


@dataclass(frozen=True)
class Fact:
    """One payment as it stands on the chain now. `position` is None where only the product numbers it."""

    chain_id: int
    tx_hash: str
    position: str | None
    asset: str
    payer: str
    amount: int
    block: int
    block_hash: str
    time_s: int
    doubtful: bool = False


@dataclass
class Money:
    """What one chain holds for us between its first counted block and its head."""

    head: int
    facts: list[Fact] = field(default_factory=list)
    grown: dict[str, int] = field(default_factory=dict)  # asset -> growth of the revenue wallets' balances
    spent: int = 0


def hexed(number: str | int) -> int:
    """A JSON-RPC quantity."""
    return number if isinstance(number, int) else int(number, 16)


def frames(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The frames of a trace that took effect: none below one that failed."""
    if frame.get("error"):
        return
    yield frame
    for child in frame.get("calls", []):
        yield from frames(child)


def walk(asker: Asker, chain: Ledgered) -> Money:
    """Read the whole chain from its first counted block on."""
    head = hexed(asker.one("eth_blockNumber"))
    money = Money(head)
    numbers = range(chain.first_block, head + 1)
    blocks = asker.all([("eth_getBlockByNumber", [hex(n), True]) for n in numbers])
    hashes = [tx["hash"] for block in blocks for tx in block["transactions"]]
    receipts = dict(zip(hashes, asker.all([("eth_getTransactionReceipt", [h]) for h in hashes]), strict=True))
    traces = asker.all([("debug_traceTransaction", [h, {"tracer": "callTracer"}]) for h in hashes])
    by_hash = dict(zip(hashes, traces, strict=True))
    held = _balances(asker, chain, head)
    for block in blocks:
        _block(money, chain, block, receipts=receipts, traces=by_hash, held=held)
    last, first = held[head], held[chain.first_block - 1]
    money.grown = {asset: last[asset] - first[asset] for asset in last}
    return money


def _balances(asker: Asker, chain: Ledgered, head: int) -> dict[int, dict[str, int]]:
    """What the revenue wallets hold of each asset after every block."""
    held: dict[int, dict[str, int]] = {}
    for number in range(chain.first_block - 1, head + 1):
        at = hex(number)
        questions: list[tuple[str, list[Any]]] = []
        for wallet in chain.revenue:
            questions.append(("eth_getBalance", [wallet, at]))
            data = "0x70a08231" + wallet[2:].rjust(64, "0")
            questions += [("eth_call", [{"to": token, "data": data}, at]) for token in chain.tokens]
        answers = iter(asker.all(questions))
        sums = dict.fromkeys(["eth", *chain.tokens.values()], 0)
        for _ in chain.revenue:
            sums["eth"] += hexed(next(answers))
            for asset in chain.tokens.values():
                sums[asset] += hexed(next(answers))
        held[number] = sums
    return held


def _block(
    money: Money,
    chain: Ledgered,
    block: dict[str, Any],
    *,
    receipts: dict[str, Any],
    traces: dict[str, Any],
    held: dict[int, dict[str, int]],
) -> None:
    number = hexed(block["number"])
    found: list[Fact] = []
    spent = 0
    for tx in block["transactions"]:
        receipt = receipts[tx["hash"]]
        spent += _spent(chain, tx, receipt)
        if hexed(receipt["status"]) == 1:
            found += _ether(chain, block, tx, traces[tx["hash"]])
            found += _tokens(chain, block, tx, receipt)
    before, after = held[number - 1], held[number]
    known = sum(f.amount for f in found if f.asset == "eth")
    rest = after["eth"] - before["eth"] - known + spent
    if rest > 0:
        money.facts.append(_rest(chain, block, rest))
    money.spent += spent
    for fact in found:
        logged = sum(f.amount for f in found if f.asset == fact.asset and f.payer not in chain.revenue)
        lies = fact.asset != "eth" and after[fact.asset] - before[fact.asset] != logged
        money.facts.append(Fact(**{**vars(fact), "doubtful": lies}))


def _rest(chain: Ledgered, block: dict[str, Any], wei: int) -> Fact:
    """Wei that no payment explains: a reward, a withdrawal, what a contract left when it went."""
    as_tx = {"hash": block["hash"]}
    return _fact(chain, block, as_tx, position="unexplained", asset="eth", payer=NOBODY, amount=wei)


def _spent(chain: Ledgered, tx: dict[str, Any], receipt: dict[str, Any]) -> int:
    if tx["from"].lower() not in chain.revenue:
        return 0
    fee = hexed(receipt["gasUsed"]) * hexed(receipt["effectiveGasPrice"])
    return fee + (hexed(tx["value"]) if hexed(receipt["status"]) == 1 else 0)


def _fact(chain: Ledgered, block: dict[str, Any], tx: dict[str, Any], **what: Any) -> Fact:
    return Fact(
        chain_id=chain.chain_id,
        tx_hash=tx["hash"].lower(),
        block=hexed(block["number"]),
        block_hash=block["hash"],
        time_s=hexed(block["timestamp"]),
        **what,
    )


def _ether(
    chain: Ledgered, block: dict[str, Any], tx: dict[str, Any], trace: dict[str, Any]
) -> Iterator[Fact]:
    for frame in frames(trace):
        value = hexed(frame.get("value") or "0x0")
        if frame["type"] in MOVES_VALUE and value and (frame.get("to") or "").lower() in chain.revenue:
            direct = frame is trace
            if direct or chain.traced:
                position = "eth:0" if direct else None
                payer = frame["from"].lower()
                yield _fact(chain, block, tx, position=position, asset="eth", payer=payer, amount=value)


def _tokens(
    chain: Ledgered, block: dict[str, Any], tx: dict[str, Any], receipt: dict[str, Any]
) -> Iterator[Fact]:
    for place, log in enumerate(receipt["logs"]):
        asset, topics, data = chain.tokens.get(log["address"].lower()), log["topics"], log["data"]
        if asset is None or len(topics) != 3 or topics[0] != TRANSFER or len(data) != 66:
            continue
        to, payer, amount = "0x" + topics[2][-40:], "0x" + topics[1][-40:], int(data, 16)
        if to.lower() in chain.revenue and amount:
            position = f"log:{place}"
            yield _fact(chain, block, tx, position=position, asset=asset, payer=payer.lower(), amount=amount)
