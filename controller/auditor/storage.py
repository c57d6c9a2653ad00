"""Homes: windows that touch, each charged one by a sum of its own, none for the time of a session."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from controller.auditor.books import Books, Row

PER_GPU_MS = 10**9 * 3_600_000  # byte-milliseconds of a GB-hour: a rate is GPU-ms for one


def homes(books: Books) -> None:
    """Every charged stretch of a home against the journal, in both directions, and against the sessions."""
    ran = _sessions(books)
    query = """SELECT w.*, h.created_at_ms, h.billed_to_ms, h.remainder AS left_over FROM storage_window w
               LEFT JOIN home h ON h.wallet = w.wallet ORDER BY w.wallet, w.from_ms, w.id"""
    charged: set[str] = set()
    for wallet, group in groupby(books.rows(query), key=lambda row: str(row["wallet"])):
        mark, remainder = None, 0
        for w in group:
            mark = w["created_at_ms"] if mark is None else mark
            books.same("storage", wallet, **{"begin of a window": (w["from_ms"], mark)})
            remainder = _window(books, w, remainder, charged)
            if w["kind"] == "charged" and w["billed"] == "offline":
                _offline(books, w, ran.get(wallet, []))
            mark = w["to_ms"]
        books.same("storage", wallet, mark=(w["billed_to_ms"], mark), remainder=(w["left_over"], remainder))
    for key, t in books.transfers.items():
        if t["kind"] == "storage" and key not in charged:
            books.find("storage", key, f"{t['amount']} GPU-ms are charged for no window")
    query = """SELECT wallet, billed_to_ms FROM home h WHERE billed_to_ms > created_at_ms
               AND NOT EXISTS (SELECT 1 FROM storage_window w WHERE w.wallet = h.wallet)"""
    for h in books.rows(query):
        books.find("storage", h["wallet"], f"is settled to {h['billed_to_ms']} without a window")


def _window(books: Books, w: Row, before: int, charged: set[str]) -> int:
    """One window; returns what of it is left over."""
    subject = f"{w['wallet']} from {w['from_ms']}"
    units = before
    if w["kind"] == "charged":
        units += w["bytes"] * w["rate"] * (w["to_ms"] - w["from_ms"])
    costs, left = units // PER_GPU_MS, units % PER_GPU_MS
    key = f"storage:{w['wallet']}:{w['from_ms']}" if costs else None
    books.same("storage", subject, cost=(w["gpu_ms"], costs), remainder=(w["remainder"], left))
    books.same("storage", subject, charge=(w["transfer_key"], key))
    if key:
        charged.add(key)
        _charge(books, w, key, costs)
    return int(left)


def _charge(books: Books, w: Row, key: str, costs: int) -> None:
    subject = f"{w['wallet']} from {w['from_ms']}"
    t = books.transfers.get(key)
    if t is None:
        books.find("storage", subject, "costs something, and was never charged")
        return
    told: dict[str, Any] = {
        k: w[k] for k in ("from_ms", "to_ms", "bytes", "rate", "billed", "floor_gpu_ms", "remainder")
    }
    books.same(
        "storage",
        subject,
        kind=(t["kind"], "storage"),
        amount=(t["amount"], costs),
        payer=(t["debit"], f"user:{w['wallet']}"),
        payee=(t["credit"], "used:storage"),
        evidence=(t["evidence"], told),
    )
    if t["at_ms"] < w["to_ms"]:
        books.find("storage", subject, f"was charged at {t['at_ms']}, before it was over")


def _offline(books: Books, w: Row, ran: list[tuple[int, int]]) -> None:
    for begin, end in ran:
        if max(w["from_ms"], begin) < min(w["to_ms"], end):
            books.find("storage", w["wallet"], f"pays from {w['from_ms']} while a session ran from {begin}")


def _sessions(books: Books) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    query = "SELECT wallet, ready_at_ms, ended_at_ms FROM gpu_session WHERE ready_at_ms IS NOT NULL"
    for s in books.rows(query):
        end = 2**62 if s["ended_at_ms"] is None else s["ended_at_ms"]
        found.setdefault(str(s["wallet"]), []).append((s["ready_at_ms"], end))
    return found
