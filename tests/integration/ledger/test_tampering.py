"""The auditor finds every change of a single field that was made past the program, whatever the field."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_kit import Bank, eventful
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from controller.auditor.run import read

pytestmark = pytest.mark.integration

# Every column of these counts, but for numbers that only count rows and that nothing refers to.
TABLES = {
    "account": [],
    "journal_batch": [],
    "transfer": ["id"],
    "hold": ["id"],
    "usage_window": ["id"],
    "storage_window": ["id"],
    "money_event": [],
    "money_event_transition": ["id"],
    "ledger_request": [],
    "deposit_assignment": ["id"],
}
# Every row and every column, instead of some: minutes, not seconds.
WHOLE = "AXONOS_TEST_TAMPER_ALL" in os.environ


def audited(db: Connection) -> list[Any]:
    return read(db, lambda _check, _count: None).findings


def cells(db: Connection) -> list[tuple[str, str, str]]:
    """Table, row (its physical place) and column of everything that can be changed."""
    found = []
    for table, free in TABLES.items():
        rows = db.execute(text(f"SELECT ctid::text AS place, * FROM {table} ORDER BY ctid")).mappings().all()
        assert rows, f"{table} is empty: nothing would be tried"
        found += [(table, row["place"], c) for row in rows for c in row if c not in ("place", *free)]
    return found


def changed(value: Any, choose: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return choose(["0", 1])
    if isinstance(value, dict):
        return _changed_object(value, choose)
    if isinstance(value, str):
        if not value:
            return "x"
        place = choose(range(len(value)))
        return value[:place] + choose([c for c in "0f7z" if c != value[place]]) + value[place + 1 :]
    return int(value) + choose([-1, 1, 1000, -60_000])


def _changed_object(value: dict[str, Any], choose: Any) -> dict[str, Any]:
    other = copy.deepcopy(value)
    if not other or choose([True, False, False]):
        return {**other, "more": 1}
    name = choose(sorted(other))
    if choose([True, False, False]):
        del other[name]
    elif isinstance(other[name], float | list):
        other[name] = "other"
    else:
        other[name] = changed(other[name], choose)
    return other


def tamper(db: Connection, cell: tuple[str, str, str], choose: Any) -> str | None:
    """Change one field past every trigger; None where the database itself refuses the value."""
    table, place, column = cell
    db.execute(text("SET LOCAL session_replication_role = replica"))
    row = {"place": place}
    before = db.execute(
        text(f"SELECT {column} FROM {table} WHERE ctid = CAST(:place AS tid)"), row
    ).scalar_one()
    after = changed(before, choose)
    stored = json.dumps(after) if isinstance(after, dict) else str(after)
    kind = db.execute(
        text("SELECT data_type FROM information_schema.columns WHERE table_name = :t AND column_name = :c"),
        {"t": table, "c": column},
    ).scalar_one()
    values = {**row, "value": stored}
    change = text(f"UPDATE {table} SET {column} = CAST(:value AS {kind}) WHERE ctid = CAST(:place AS tid)")
    try:
        db.execute(change, values)
    except DBAPIError:
        return None
    return f"{table}.{column}: {before!r} became {after!r}"


@pytest.fixture
def told(signing_bank: Bank) -> Any:
    eventful(signing_bank)
    with signing_bank.deps.database.engine.connect() as db:
        assert audited(db) == []
        db.rollback()
        yield db


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_change_of_any_field_of_any_row_is_found(told: Connection, data: st.DataObject) -> None:
    db = told
    cell = data.draw(st.sampled_from(cells(db)))
    what = tamper(db, cell, lambda options: data.draw(st.sampled_from(options)))
    found = what is None or bool(audited(db))
    db.rollback()
    assert found, what


def test_each_kind_of_row_in_each_column(told: Connection) -> None:
    """Not left to chance: one row of every kind and state, each of its columns."""
    db, tried, missed, seen = told, 0, [], set()
    kinds = {"transfer": "kind", "money_event": "state", "ledger_request": "state", "usage_window": "kind"}
    for table, place, column in cells(db):
        kind = db.execute(
            text(f"SELECT {kinds.get(table, '1')} FROM {table} WHERE ctid = CAST(:place AS tid)"),
            {"place": place},
        ).scalar_one()
        if (table, kind, column) in seen and not WHOLE:
            continue
        seen.add((table, kind, column))
        what = tamper(db, (table, place, column), lambda options: list(options)[-1])
        if what is not None:
            tried += 1
            if not audited(db):
                missed.append(what)
        db.rollback()
    assert missed == []
    assert tried > 200
    print(f"{tried} changes tried, all found")


def test_a_row_that_is_gone_is_missed(told: Connection) -> None:
    db = told
    named = {"transfer": "key", "journal_batch": "hash", "usage_window": "kind", "money_event": "payer"}
    named |= {"storage_window": "kind"}
    named |= {"account": "code", "money_event_transition": "to_state", "deposit_assignment": "signer"}
    for table, place, column in cells(db):
        if named.get(table) != column:
            continue
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(text(f"DELETE FROM {table} WHERE ctid = CAST(:place AS tid)"), {"place": place})
        assert audited(db), f"{table} {place}"
        db.rollback()


def test_a_quoted_credit_is_held_against_its_quote(told: Connection) -> None:
    db = told
    for change in ("gpu_ms = gpu_ms + 1", "amount = amount + 1", "event_id = NULL", "expires_at_ms = 9e15"):
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(text(f"UPDATE quote SET {change} WHERE event_id IS NOT NULL"))
        assert {f.check for f in audited(db)} == {"quote"}
        db.rollback()
