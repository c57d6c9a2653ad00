"""Money events: each credited once, for what its evidence is worth, to its owner; operators' entries."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from controller.auditor.books import Books, Row

FACTS = ("chain_id", "tx_hash", "position", "asset", "payer", "block_number", "block_hash")
BPS = 10_000


def worth(evidence: Row) -> int:
    """GPU-milliseconds that evidence is worth, worked out anew: value over price, floored once."""
    usd = Fraction(int(evidence["usd_answer"]), 10 ** evidence["usd_decimals"])
    tokens = Fraction(int(evidence["amount"]), 10 ** evidence["token_decimals"])
    hour = Fraction(Decimal(evidence["usd_per_gpu_hour"])) * (BPS - evidence["discount_bps"]) / BPS
    bonus = Fraction(BPS + evidence.get("bonus_bps", 0), BPS)
    return int(tokens * usd * bonus * 3_600_000 / hour)


def events(books: Books) -> None:
    """Every event against its credit, its transitions and the tokens booked for it."""
    booked: dict[str, int] = {}
    live = set()
    for e in books.rows("SELECT * FROM money_event ORDER BY id"):
        family = e["evidence"].get("booked")
        if family:
            code = f"{family}:{e['chain_id']}:{e['asset']}"
            booked[code] = booked.get(code, 0) + e["amount"]
        live.add(_credit(books, e))
    for code in {c for c in books.moved if c.partition(":")[0] in {"received", "suspense", "returned"}} | set(
        booked
    ):
        books.same("tokens", code, amount=(books.balance(code), booked.get(code, 0)))
    for key, t in books.transfers.items():
        if t["kind"] == "deposit":
            _deposit(books, key, t, live)
        elif t["kind"] == "top-up":
            base = books.transfers.get(t["evidence"].get("tops_up"), {"amount": 0})["amount"]
            books.same("credit", key, **{"GPU-ms": (t["amount"], worth(t["evidence"]) - base)})
    _transitions(books)


def _credit(books: Books, e: Row) -> str | None:
    name, key = f"{e['tx_hash']} {e['position']}", e["transfer_key"]
    if e["state"] not in ("credited", "final"):
        if e["state"] != "returned" and (key or e["credited_gpu_ms"]):
            books.find("credit", name, f"is {e['state']} and yet credited by {key}")
        return str(key)
    t = books.transfers.get(key)
    if t is None:
        if key or e["credited_gpu_ms"] != 0:
            books.find("credit", name, f"is {e['state']}, and {key} is not in the journal")
        return None
    told = {k: t["evidence"].get(k) for k in FACTS}
    books.same(
        "credit",
        name,
        amount=(e["credited_gpu_ms"], t["amount"]),
        owner=(t["credit"], f"user:{e['beneficiary'] or e['payer']}"),
        facts=({k: e[k] for k in FACTS}, told),
        tokens=(str(e["amount"]), t["evidence"].get("amount")),
    )
    return str(key)


def _deposit(books: Books, key: str, t: Row, live: set[str | None]) -> None:
    try:
        books.same("credit", key, **{"GPU-ms": (t["amount"], worth(t["evidence"]))})
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        books.find("credit", key, "its evidence is incomplete")
    undone = books.transfers.get(f"rev:{key}")
    if (undone is None) == (key not in live):
        books.find("credit", key, "has no live deposit, or both one and a reversal")
    elif undone is not None:
        sides = (undone["debit"], undone["credit"], undone["amount"])
        books.same("credit", f"rev:{key}", sides=(sides, (t["credit"], t["debit"], t["amount"])))


def _transitions(books: Books) -> None:
    state: dict[int, str] = {}
    for m in books.rows("SELECT * FROM money_event_transition ORDER BY event_id, id"):
        before = state.get(m["event_id"])
        if (m["from_state"] or before) != before:
            books.find(
                "transitions", f"event {m['event_id']}", f"goes from {m['from_state']}, it was {before}"
            )
        state[m["event_id"]] = m["to_state"]
    for e in books.rows("SELECT id, state FROM money_event"):
        books.same("transitions", f"event {e['id']}", state=(e["state"], state.pop(e["id"], None)))
    for event in state:
        books.find("transitions", f"event {event}", "is no longer there")


def entries(books: Books) -> None:
    """Operators' entries and payers' assignments: each that was done has its transfer in the same words."""
    done = set()
    for r in books.rows("SELECT * FROM ledger_request"):
        key, name = f"op:{r['request_id']}", f"entry {r['request_id']}"
        if r["kind"] == "return":
            key = next(
                (k for k, t in books.transfers.items() if t["evidence"].get("request") == r["request_id"]),
                key,
            )
        done.add(key)
        t = books.transfers.get(key)
        if (t is not None) != (r["state"] == "done"):
            books.find("entries", name, f"is {r['state']}, and its transfer is {'there' if t else 'missing'}")
        if t is None:
            continue
        said = {k: t["evidence"].get(k) for k in ("reason", "actor", "approver")}
        books.same("entries", name, kind=(r["kind"], t["kind"]), words=({k: r[k] for k in said}, said))
        books.same("entries", name, actor=(r["actor"] == r["approver"], False))
        if r["kind"] != "return":
            user = f"user:{r['wallet']}"
            signed = t["amount"] if t["credit"] == user else -t["amount"] if t["debit"] == user else None
            books.same("entries", name, **{"GPU-ms": (r["gpu_ms"], signed)})
    for a in books.rows("SELECT * FROM deposit_assignment"):
        key = f"asg:{a['event_id']}"
        done.add(key)
        t = books.transfers.get(key) or {"credit": None, "amount": None}
        moved = (t["credit"], t["amount"])
        books.same("entries", key, moved=(moved, (f"user:{a['beneficiary']}", a["gpu_ms"])))
    kinds = {"credit", "refund", "adjust", "assign", "return"}
    for key, t in books.transfers.items():
        if t["kind"] in kinds and key not in done:
            books.find("entries", key, "was asked for by nobody")
