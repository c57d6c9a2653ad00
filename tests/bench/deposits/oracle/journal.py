"""What the product wrote down, read from its tables with plain SQL."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

# Whatever a transfer does with a deposit, its key names the transaction and the place in it.
KEY = re.compile(r"(?P<tx_hash>0x[0-9a-f]{64}):(?P<position>log:\d+|eth:[\d./]+|unexplained)")


@dataclass(frozen=True)
class Row:
    """One money event."""

    chain_id: int
    tx_hash: str
    position: str
    asset: str
    payer: str
    amount: int
    block: int
    block_hash: str
    state: str
    booked: bool


@dataclass
class Journal:
    """Events, and what each account has by its transfers."""

    rows: list[Row] = field(default_factory=list)
    accounts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    told: dict[str, int] = field(default_factory=dict)  # what the account rows themselves say
    live: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))  # live credits
    brought: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))  # GPU-ms, net
    quotes: list[dict[str, Any]] = field(default_factory=list)
    cursors: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    bridged: list[str] = field(default_factory=list)  # transfers between accounts of different units


def read(conninfo: str) -> Journal:
    """Read it all in one snapshot."""
    found = Journal()
    with psycopg.connect(conninfo, row_factory=dict_row) as db:
        db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for event in db.execute("SELECT * FROM money_event ORDER BY id"):
            found.rows.append(_row(event))
        for transfer in db.execute(
            "SELECT t.*, d.code AS debit, c.code AS credit, d.unit AS du, c.unit AS cu FROM transfer t"
            " JOIN account d ON d.id = t.debit_id JOIN account c ON c.id = t.credit_id"
        ):
            _post(found, transfer)
        for account in db.execute("SELECT code, credits - debits AS has FROM account"):
            found.told[account["code"]] = int(account["has"])
        for cursor in db.execute("SELECT chain_id, block_number, stopped_why FROM chain_cursor"):
            found.cursors[cursor["chain_id"]] = (cursor["block_number"], cursor["stopped_why"])
        found.quotes = list(
            db.execute(
                "SELECT q.*, e.tx_hash AS used_by"
                " FROM quote q LEFT JOIN money_event e ON e.id = q.event_id ORDER BY q.id"
            )
        )
    return found


def _row(event: dict[str, Any]) -> Row:
    return Row(
        chain_id=event["chain_id"],
        tx_hash=event["tx_hash"],
        position=event["position"],
        asset=event["asset"],
        payer=event["payer"],
        amount=int(event["amount"]),
        block=event["block_number"],
        block_hash=event["block_hash"],
        state=event["state"],
        booked=bool(event["credited_gpu_ms"] or event["evidence"].get("booked")),
    )


def _post(found: Journal, transfer: dict[str, Any]) -> None:
    amount = int(transfer["amount"])
    found.accounts[transfer["debit"]] -= amount
    found.accounts[transfer["credit"]] += amount
    if transfer["du"] != transfer["cu"]:
        found.bridged.append(transfer["key"])
    event = KEY.search(transfer["key"])
    if event is None:
        return
    place = event["tx_hash"], event["position"]
    if transfer["credit"].startswith("user:"):
        found.brought[place] += amount
        found.live[place] += transfer["kind"] == "deposit"
    elif transfer["debit"].startswith("user:"):
        found.brought[place] -= amount
        found.live[place] -= transfer["key"].startswith("rev:dep:")
