"""What all tables share: metadata with stable constraint names, and the column types of money and JSON."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = SQLModel.metadata
# Rows whose marks move all the time: half of each page is left free, so that a new version of a row stays on
# its page and no index is written (PostgreSQL's heap-only tuples).
UPDATED_IN_PLACE = {"postgresql_with": {"fillfactor": "50"}}


def bigint(*, primary_key: bool = False, unique: bool = False, index: bool = False, **kwargs: Any) -> Any:
    """A 64-bit integer column: GPU-milliseconds, instants, identifiers."""
    return Field(sa_type=BigInteger, primary_key=primary_key, unique=unique, index=index, **kwargs)


def token_amount() -> Any:
    """An exact amount of a token in its smallest unit; 256-bit values do not fit a BIGINT."""
    return Field(sa_column=Column(Numeric(78, 0), nullable=False))


def json_object() -> Any:
    """A JSONB object, empty by default."""
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))
