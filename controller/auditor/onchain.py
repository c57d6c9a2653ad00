"""The chain itself: each credit's payment, price and holding read again, all payments there, every wei."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from controller.auditor.books import Books, Row
from controller.auditor.rpc import LATEST_ROUND, TRANSFER, Forgotten, Rpc

GONE = ("orphaned", "reversed")


@dataclass
class Chain:
    """One chain as configured, and what the audit learns of it."""

    chain_id: int
    rpc: Rpc
    start: int
    wallets: tuple[str, ...]
    tokens: dict[str, str]
    holder_token: tuple[str, Rpc]
    last: int = 0
    events: dict[tuple[str, str], Row] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)
    withdrawals: list[Row] = field(default_factory=list)

    def topics(self) -> list[str]:
        return ["0x" + wallet[2:].rjust(64, "0") for wallet in self.wallets]


def check(books: Books, chain: Chain) -> None:
    """Everything about one chain, up to the block that the platform has read."""
    cursor = next(books.rows("SELECT * FROM chain_cursor WHERE chain_id = :id", id=chain.chain_id), None)
    if cursor is None:
        return
    name, chain.last = f"chain {chain.chain_id}", cursor["block_number"]
    here = chain.rpc.ask("eth_getBlockByNumber", hex(chain.last), False)["hash"]
    books.same("chain", name, **{"block read last": (cursor["block_hash"], here)})
    for e in books.rows("SELECT * FROM money_event WHERE chain_id = :id", id=chain.chain_id):
        chain.events[(e["tx_hash"], e["position"])] = e
    for count, e in enumerate(chain.events.values()):
        books.progress(name, count)
        if e["state"] not in GONE and e["block_number"] <= chain.last:
            try:
                _event(books, chain, e)
            except Forgotten:
                chain.unchecked.append(f"{e['tx_hash']} {e['position']}")
    for further in (_recorded, _balances):
        try:
            further(books, chain, name)
        except Forgotten:
            chain.unchecked.append(f"{name}:{further.__name__.replace('_', ' ')}")


def _event(books: Books, chain: Chain, e: Row) -> None:
    name = f"{e['tx_hash']} {e['position']}"
    block = chain.rpc.ask("eth_getBlockByNumber", hex(e["block_number"]), False)
    books.same("chain", name, block=(e["block_hash"], block["hash"]))
    quote = e["evidence"].get("quote") or {"expires_at_ms": 2**62}
    if int(block["timestamp"], 16) * 1000 > quote["expires_at_ms"]:
        books.find("chain", name, "was mined after its quote had run out")
    if e["position"] != "unexplained":
        written = (e["asset"], e["payer"], e["recipient"], e["amount"])
        books.same("chain", name, payment=(written, _payment(chain, e)))
    quote = e["evidence"].get("quote") or {}
    if quote and int(block["timestamp"], 16) * 1000 > quote["expires_at_ms"]:
        books.find("chain", name, f"was mined after quote {quote['id']} had run out")
    price, holding = e["evidence"].get("price") or {}, e["evidence"].get("holding") or {}
    if price.get("feed") and price.get("read_from", "state") == "state":
        words = chain.rpc.words(price["feed"], LATEST_ROUND, {"blockHash": price["block_hash"]})
        told = (int(price["round_id"]), int(price["answer"]), price["updated_at_s"])
        books.same("chain", name, price=(told, (words[0], words[1], words[3])))
    if "axgt_balance" in holding:
        token, rpc = chain.holder_token
        samples = holding.get("samples") or [holding]
        for s in samples:
            held = rpc.held(token, e["payer"], {"blockHash": s["block_hash"]})
            books.same("chain", name, **{"AXGT held": (int(s["axgt_balance"]), held)})


def _payment(chain: Chain, e: Row) -> tuple[str | None, str, str, int] | None:
    """What the chain shows at an event's place; None where there is nothing."""
    kind, _, place = e["position"].partition(":")
    receipt = chain.rpc.ask("eth_getTransactionReceipt", e["tx_hash"])
    if int(receipt["status"], 16) != 1 or receipt["blockHash"] != e["block_hash"]:
        return None
    if kind == "log":
        log = receipt["logs"][int(place)]
        if log["topics"][0] != TRANSFER:
            return None
        payer, to = ("0x" + topic[-40:].lower() for topic in log["topics"][1:3])
        return chain.tokens.get(log["address"].lower()), payer, to, int(log["data"], 16)
    frame = chain.rpc.ask("eth_getTransactionByHash", e["tx_hash"])
    if place != "0":
        frame = chain.rpc.ask("debug_traceTransaction", e["tx_hash"], {"tracer": "callTracer"})
        for step in place.split(".")[1:]:
            frame = frame["calls"][int(step)]
            if frame.get("error"):
                return None
    return "eth", frame["from"].lower(), str(frame["to"]).lower(), int(frame["value"], 16)


def _recorded(books: Books, chain: Chain, name: str) -> None:
    """Every token transfer to a revenue wallet has its event."""
    places: dict[str, list[str]] = {}
    for log in chain.rpc.logs([*chain.tokens], [None, chain.topics()], chain.start, chain.last):
        tx = log["transactionHash"]
        if tx not in places:
            places[tx] = [
                entry["logIndex"] for entry in chain.rpc.ask("eth_getTransactionReceipt", tx)["logs"]
            ]
        key = (tx, f"log:{places[tx].index(log['logIndex'])}")
        if int(log["data"], 16) and chain.events.get(key, {}).get("state", "gone") in (*GONE, "gone"):
            books.find("chain", " ".join(key), f"was paid on {name}, and is not recorded as paid")


def _balances(books: Books, chain: Chain, name: str) -> None:
    """What the wallets hold now = what they held before + received - what they sent away, to the unit."""
    before, now = hex(max(chain.start - 1, 0)), hex(chain.last)
    grown: Counter[str] = Counter()
    for wallet in chain.wallets:
        grown["eth"] += chain.rpc.number("eth_getBalance", wallet, now)
        grown["eth"] -= chain.rpc.number("eth_getBalance", wallet, before)
        for token, asset in chain.tokens.items():
            grown[asset] += chain.rpc.held(token, wallet, now) - chain.rpc.held(token, wallet, before)
        for sent in _sent_eth(chain, wallet):
            chain.withdrawals.append(sent)
            grown["eth"] += sent["amount"] + sent["fee"]
    for log in chain.rpc.logs([*chain.tokens], [chain.topics()], chain.start, chain.last):
        asset, to = chain.tokens[log["address"].lower()], "0x" + log["topics"][2][-40:].lower()
        if to not in chain.wallets:
            sent = {"tx_hash": log["transactionHash"], "asset": asset, "to": to}
            chain.withdrawals.append({**sent, "amount": int(log["data"], 16), "fee": 0})
            grown[asset] += int(log["data"], 16)
    for asset in {"eth", *chain.tokens.values()}:
        booked = -books.balance(f"chain:{chain.chain_id}:{asset}")
        waiting = sum(
            e["amount"]
            for e in chain.events.values()
            if e["asset"] == asset
            and e["state"] not in (*GONE, "own_move")
            and e["block_number"] <= chain.last
            and not e["evidence"].get("booked")
        )
        books.same("balance", f"{name} {asset}", received=(booked + waiting, grown[asset]))


def _sent_eth(chain: Chain, wallet: str) -> Iterator[Row]:
    """A wallet's own transactions, found by its nonce: what they took away, and what they cost."""

    def sent(block: int) -> int:
        return chain.rpc.number("eth_getTransactionCount", wallet, hex(block))

    block = max(chain.start - 1, 0)
    nonce, end = sent(block), sent(chain.last)
    while nonce < end:
        low, high = block, chain.last
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if sent(middle) > nonce else (middle + 1, high)
        block = low
        for tx in chain.rpc.ask("eth_getBlockByNumber", hex(block), True)["transactions"]:
            if tx["from"].lower() == wallet:
                receipt = chain.rpc.ask("eth_getTransactionReceipt", tx["hash"])
                fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
                fee += int(receipt.get("l1Fee") or "0x0", 16)
                to = str(tx["to"]).lower()
                kept = int(receipt["status"], 16) != 1 or to in chain.wallets
                amount = 0 if kept else int(tx["value"], 16)
                yield {"tx_hash": tx["hash"], "asset": "eth", "to": to, "amount": amount, "fee": fee}
        nonce = sent(block)
