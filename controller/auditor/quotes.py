"""Quotes: a credit under one against the quote's own row; a credit priced at another block must have one."""

from __future__ import annotations

from controller.auditor.books import Books, Row


def quotes(books: Books) -> None:
    """Every deposit's credit, live or taken back since."""
    held = {q["id"]: q for q in books.rows("SELECT * FROM quote")}
    events = {(e["tx_hash"], e["position"]): e["id"] for e in books.rows("SELECT * FROM money_event")}
    live: dict[str, str] = {}
    for key, t in books.transfers.items():
        if t["kind"] != "deposit":
            continue
        told = t["evidence"].get("quote")
        if told is None:
            _own_block(books, key, t["evidence"])
            continue
        quote = held.get(told["id"])
        if quote is None:
            books.find("quote", key, f"was credited under quote {told['id']}, which is not there")
            continue
        _terms(books, key, t, quote)
        if f"rev:{key}" in books.transfers:
            continue
        if told["id"] in live:
            books.find("quote", told["id"], f"was honoured twice, for {live[told['id']]} and {key}")
        live[told["id"]] = key
        event = events.get((t["evidence"]["tx_hash"], t["evidence"]["position"]))
        books.same("quote", key, deposit=(quote["event_id"], event))


def _own_block(books: Books, key: str, evidence: Row) -> None:
    price = evidence.get("price") or {}
    if price.get("block_hash", evidence["block_hash"]) != evidence["block_hash"]:
        books.find("quote", key, "is priced at another block than its own, and under no quote")


def _terms(books: Books, key: str, t: Row, quote: Row) -> None:
    evidence, told = t["evidence"], t["evidence"]["quote"]
    for name in ("created_at_ms", "expires_at_ms", "block_number"):
        books.same("quote", key, **{name: (told[name], quote[name])})
    books.same(
        "quote",
        key,
        amount=(evidence["amount"], str(quote["amount"])),
        payer=((evidence["payer"], evidence["asset"]), (quote["wallet"], quote["rail"])),
        chain=(evidence["chain_id"], quote["chain_id"]),
        credit=(t["amount"], quote["gpu_ms"]),
    )
    if evidence["block_number"] <= quote["block_number"]:
        books.find("quote", key, "was mined before its quote was made")
