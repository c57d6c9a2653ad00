"""Sessions: windows that touch and never overlap, each used one with its charge, and the holds of claims."""

from __future__ import annotations

from itertools import groupby

from controller.auditor.books import Books, Row

DAY_MS = 86_400_000
HOLDING = ("queued", "starting")


def windows(books: Books) -> None:
    """Every used window has its charge to the GPU-millisecond, every charge its window."""
    query = """SELECT w.*, s.wallet, s.gpus AS held, s.state, s.ready_at_ms, s.billed_to_ms, s.profile,
                      s.kind AS session_kind
               FROM usage_window w LEFT JOIN gpu_session s ON s.id = w.session_id
               ORDER BY w.session_id, w.from_ms, w.id"""
    charged = set()
    for session, group in groupby(books.rows(query), key=lambda row: row["session_id"]):
        mark = None
        for w in group:
            mark = w["ready_at_ms"] if mark is None else mark
            if w["from_ms"] != mark:
                how = "overlaps" if w["from_ms"] < mark else "does not touch"
                books.find("windows", session, f"the window from {w['from_ms']} {how} what is before it")
            mark = w["to_ms"]
            charged.add(_charge(books, w))
        books.same("windows", session, **{"billed to": (w["billed_to_ms"], mark)})
    for key, t in books.transfers.items():
        if t["kind"] == "use" and key not in charged:
            books.find("windows", key, f"{t['amount']} GPU-ms are charged for no window")
    query = """SELECT id, ready_at_ms, billed_to_ms FROM gpu_session s WHERE billed_to_ms > ready_at_ms
               AND NOT EXISTS (SELECT 1 FROM usage_window w WHERE w.session_id = s.id)"""
    for s in books.rows(query):
        books.find("windows", s["id"], f"billed to {s['billed_to_ms']} without a window")


def _charge(books: Books, w: Row) -> str | None:
    subject = f"{w['session_id']} from {w['from_ms']}"
    if w["kind"] != "used":
        books.same("windows", subject, charge=(w["transfer_key"], None), GPUs=(w["gpus"], w["held"]))
        return None
    key = f"use:{w['session_id']}:{w['from_ms']}"
    t = books.transfers.get(key)
    books.same("windows", subject, charge=(w["transfer_key"], key), GPUs=(w["gpus"], w["held"]))
    if t is None:
        books.find("windows", subject, "is used, and was never charged")
        return key
    told = {k: w[k] for k in ("from_ms", "to_ms", "gpus", "profile")} | {"kind": w["session_kind"]}
    books.same(
        "windows",
        subject,
        kind=(t["kind"], "use"),
        amount=(t["amount"], (w["to_ms"] - w["from_ms"]) * w["gpus"]),
        payer=(t["debit"], f"user:{w['wallet']}"),
        payee=(t["credit"], "used:compute"),
        evidence=(t["evidence"], {"session": w["session_id"], **told}),
    )
    return key


def returned(books: Books) -> None:
    """What a session cost that nobody opened is returned whole, to who paid it, once a day and wallet."""
    query = """SELECT s.id, s.wallet, s.state, s.opened_at_ms,
                      (SELECT sum((w.to_ms - w.from_ms) * w.gpus) FROM usage_window w
                       WHERE w.session_id = s.id AND w.kind = 'used') AS cost FROM gpu_session s"""
    known = {s["id"]: s for s in books.rows(query)}
    last: dict[str, int] = {}
    for key, t in books.transfers.items():
        if t["kind"] != "unopened":
            continue
        s = known.get(str(t["evidence"].get("session")))
        if s is None or s["opened_at_ms"] is not None or s["state"] not in ("ending", "ended"):
            books.find("returned", key, "is for no session that ended unopened")
            continue
        books.same(
            "returned",
            key,
            key=(key, f"unopened:{s['id']}"),
            payer=(t["debit"], "used:compute"),
            payee=(t["credit"], f"user:{s['wallet']}"),
            amount=(t["amount"], s["cost"]),
        )
        if t["at_ms"] < last.get(s["wallet"], t["at_ms"] - DAY_MS) + DAY_MS:
            books.find("returned", key, "is the second within a day for its wallet")
        last[s["wallet"]] = t["at_ms"]


def holds(books: Books) -> None:
    """A claim holds its first minutes until it runs, once, on its own wallet; nothing else holds any."""
    query = """SELECT h.*, a.code, s.wallet, s.state, s.claimed_at_ms FROM hold h
               LEFT JOIN account a ON a.id = h.account_id LEFT JOIN gpu_session s ON s.id = h.session_id"""
    holding = set()
    for h in books.rows(query):
        subject = f"hold of {h['session_id']}"
        books.same("holds", subject, account=(h["code"], f"user:{h['wallet']}"))
        if h["created_at_ms"] < (h["claimed_at_ms"] or 0):
            books.find("holds", subject, "is older than its claim")
        if h["released_at_ms"] is None:
            holding.add(h["session_id"])
            if h["state"] not in HOLDING:
                books.find("holds", subject, f"is open while its session is {h['state']}")
    for s in books.rows("SELECT id, state FROM gpu_session"):
        if s["state"] in HOLDING and s["id"] not in holding:
            books.find("holds", s["id"], f"is {s['state']} and holds nothing")
