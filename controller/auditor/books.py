"""What was written down, read once in one snapshot: raw rows, and the findings about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]
FIRST = "0" * 64
OVERDRAWING = {"reversal", "storage"}


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit: which check, about what, how."""

    check: str
    subject: str
    what: str


@dataclass
class Books:
    """The snapshot and what is known of it so far."""

    db: Connection
    progress: Callable[[str, int], None] = lambda _check, _count: None
    findings: list[Finding] = field(default_factory=list)
    transfers: dict[str, Row] = field(default_factory=dict)
    moved: dict[str, list[int]] = field(default_factory=dict)
    head: str = FIRST
    batches: set[str] = field(default_factory=set)

    def rows(self, sql: str, **values: Any) -> Iterator[Row]:
        """Rows of a query, numbers as integers."""
        streamed = {"yield_per": 2_000}
        with self.db.execute(text(sql), values, execution_options=streamed) as found:
            for row in found.mappings():
                yield {k: int(v) if isinstance(v, Decimal) else v for k, v in row.items()}

    def find(self, check: str, subject: object, what: str) -> None:
        self.findings.append(Finding(check, str(subject), what))

    def same(self, check: str, subject: object, **pairs: tuple[Any, Any]) -> None:
        """Find each pair of values that differs: what is written, what it should be."""
        for name, (written, true) in pairs.items():
            if written != true:
                self.find(check, subject, f"{name} is {written}, it should be {true}")

    def balance(self, code: str) -> int:
        """An account's credits less its debits, from its transfers."""
        debit, credit = self.moved.get(code, (0, 0))
        return credit - debit


def journal(books: Books) -> None:
    """The hash chain, the order of transfers, and every account's two sides from its transfers alone."""
    last_id, batch, members = 0, None, list[Row]()
    query = """SELECT b.id AS batch, b.at_ms AS batch_at, b.prev_hash, b.hash, t.id, t.key, t.kind, t.amount,
                      t.at_ms, t.evidence, d.code AS debit, c.code AS credit
               FROM journal_batch b LEFT JOIN transfer t ON t.batch_id = b.id
               LEFT JOIN account d ON d.id = t.debit_id LEFT JOIN account c ON c.id = t.credit_id
               ORDER BY b.id, t.id"""
    for row in books.rows(query):
        if row["batch"] != batch and members:
            last_id = _batch(books, members, last_id)
            members = []
        batch = row["batch"]
        members.append(row)
    if members:
        _batch(books, members, last_id)
    strays = (
        "SELECT key FROM transfer t WHERE NOT EXISTS (SELECT 1 FROM journal_batch b WHERE b.id = t.batch_id)"
    )
    for row in books.rows(strays):
        books.find("journal", row["key"], "belongs to no batch")
    _accounts(books)


def _batch(books: Books, members: list[Row], last_id: int) -> int:
    first, name = members[0], f"batch {members[0]['batch']}"
    if first["key"] is None:
        books.find("journal", name, "has no transfers")
        members = []
    lines = [f"{first['prev_hash']}\n{first['batch_at']}\n"]
    for t in sorted(members, key=lambda row: str(row["key"])):
        row = [t["key"], t["kind"], t["debit"], t["credit"], str(t["amount"]), t["evidence"]]
        lines.append(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n")
    books.same("journal", name, **{"link to the batch before": (first["prev_hash"], books.head)})
    books.same("journal", name, hash=(first["hash"], hashlib.sha256("".join(lines).encode()).hexdigest()))
    ids = [int(t["id"]) for t in members]
    if ids and (ids[0] <= last_id or ids != list(range(ids[0], ids[0] + len(ids)))):
        books.find("journal", name, "its transfers are out of order, or some are missing")
    before = {t[side]: books.balance(t[side]) for t in members for side in ("debit", "credit")}
    for t in members:
        _move(books, t, name)
    for code, balance in before.items():
        overdrawn = any(t["debit"] == code and t["kind"] in OVERDRAWING for t in members)
        if str(code).startswith("user:") and books.balance(code) < min(balance, 0) and not overdrawn:
            books.find("floor", code, f"{name} takes it to {books.balance(code)}, and is no reversal or debt")
    books.head = first["hash"]
    books.batches.add(books.head)
    return max(last_id, *ids, 0)


def _move(books: Books, t: Row, name: str) -> None:
    books.transfers[t["key"]] = t
    books.same("journal", t["key"], instant=(t["at_ms"], t["batch_at"]))
    if _unit(t["debit"]) != _unit(t["credit"]) or t["amount"] <= 0:
        books.find("journal", t["key"], f"{name} moves {t['amount']} from {t['debit']} to {t['credit']}")
    books.moved.setdefault(str(t["debit"]), [0, 0])[0] += t["amount"]
    books.moved.setdefault(str(t["credit"]), [0, 0])[1] += t["amount"]


def _accounts(books: Books) -> None:
    seen = set()
    for a in books.rows("SELECT code, unit, floored, debits, credits FROM account"):
        code = a["code"]
        seen.add(code)
        debit, credit = books.moved.get(code, (0, 0))
        floored = code.startswith("user:") and credit >= debit
        books.same("account", code, debits=(a["debits"], debit), credits=(a["credits"], credit))
        books.same("account", code, unit=(a["unit"], _unit(code)), floor=(a["floored"], floored))
        if code not in books.moved:
            books.find("account", code, "no transfer opens it")
    for code in books.moved.keys() - seen:
        books.find("account", code, "its transfers are there, the account is not")


def _unit(code: str | None) -> str | None:
    family, _, rest = str(code).partition(":")
    if family in {"user", "issued", "used"}:
        return "gpu_ms"
    return rest if family in {"chain", "received", "suspense", "returned"} else None


def seals(books: Books) -> None:
    """Rows outside the hash chain carry a hash of their own columns."""
    sealed = (
        "money_event",
        "money_event_transition",
        "hold",
        "usage_window",
        "storage_window",
        "ledger_request",
        "payment_addresses",
    )
    for table in (*sealed, "deposit_assignment"):
        for row in books.rows(f"SELECT * FROM {table}"):  # noqa: S608 - names from the line above
            kept = {k: v for k, v in row.items() if k not in ("id", "seal")}
            words = json.dumps([table, kept], sort_keys=True, separators=(",", ":"))
            if hashlib.sha256(words.encode()).hexdigest() != row["seal"]:
                named = row.get("id") or row.get("request_id")
                books.find("seal", f"{table} {named}", "is not what was written")


def plain(finding: Finding) -> Row:
    """A finding as JSON."""
    return asdict(finding)
