"""A row's seal: a hash over its columns, written with the row by the program and by nobody else.

Rows of money that live outside the journal's hash chain carry one, so that a change made past the program,
by hand or by a fault, shows in the audit. It proves no more than that: whoever can also compute it can
write it.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.orm import Mapper
from sqlmodel import Field, SQLModel

T = TypeVar("T", bound=type[SQLModel])
UNSEALED = ("id", "seal")


def _whole(value: Any) -> int:
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(f"{type(value).__name__} cannot be sealed")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_whole).encode  # ASCII only


def seal_column() -> Any:
    """The column of the seal; empty only in rows written past the program."""
    return Field(default="", max_length=64)


def seal_of(table: str, columns: dict[str, Any]) -> str:
    """The seal of one row.

    Args:
        table: its name.
        columns: its values by column; a surrogate `id` and the seal itself do not count.
    """
    kept = {name: value for name, value in columns.items() if name not in UNSEALED}
    return hashlib.sha256(_CANONICAL([table, kept]).encode()).hexdigest()


def sealed(model: T) -> T:
    """Have every flush of a model write its seal; a statement past the ORM must write it by itself."""
    event.listen(model, "before_insert", _write)
    event.listen(model, "before_update", _write)
    return model


def _write(mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    del connection
    names = [column.key for column in mapper.columns]
    row.seal = seal_of(str(mapper.local_table), {name: getattr(row, name) for name in names})
