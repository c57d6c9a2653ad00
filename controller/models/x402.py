"""Payments by HTTP 402: settlements before and after they are sent, turns of nonces, session tokens, keys."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from controller.models.base import bigint, token_amount
from controller.models.seal import seal_column, sealed

STATES = ("signed", "settled", "reverted", "unsent", "skipped")
_LIVE = "state IN ('signed', 'settled')"
_ON_CHAIN = "state IN ('signed', 'settled', 'reverted', 'skipped')"


@sealed
class X402Payment(SQLModel, table=True):
    """One signed authorization and the transaction that settles it, written before that is sent.

    `signed`: it may be on the chain or not, nobody has looked yet. `settled`: the money came. `reverted`: the
    transaction failed, nothing came. `unsent`: no node took it and its nonce went back. `skipped`: a
    transaction that only fills a gap of nonces; it pays nobody. `wanted` is the hash of what was asked for,
    `idempotency_hash` that of the client's key, empty without one; `gas_wei` what it may cost until it is
    known what it did cost.
    """

    __tablename__ = "x402_payment"
    __table_args__ = (
        CheckConstraint("state IN (" + ", ".join(f"'{s}'" for s in STATES) + ")", name="state"),
        CheckConstraint("amount >= 0", name="positive"),
        Index(
            "uq_x402_payment_authorization",
            *("chain_id", "payer", "auth_nonce"),
            unique=True,
            postgresql_where=text(_LIVE),
        ),
        Index(
            "uq_x402_payment_sender_nonce",
            *("chain_id", "sender", "sender_nonce"),
            unique=True,
            postgresql_where=text(_ON_CHAIN),
        ),
        Index("ix_x402_payment_open", "id", postgresql_where=text("state = 'signed'")),
    )
    id: int | None = bigint(primary_key=True, default=None)
    chain_id: int = bigint()
    payer: str = Field(max_length=42)
    auth_nonce: str = Field(max_length=66)
    amount: int = token_amount()
    valid_before_s: int = bigint()
    wanted: str = Field(max_length=64)
    idempotency_hash: str = Field(default="", max_length=64)
    session_id: str = Field(max_length=36, unique=True)
    state: str
    why: str = Field(default="")
    sender: str = Field(max_length=42)
    sender_nonce: int = bigint()
    raw: str
    tx_hash: str = Field(max_length=66, index=True)
    gas_wei: int = token_amount()
    created_at_ms: int = bigint(index=True)
    sent_at_ms: int | None = bigint(default=None, nullable=True)
    decided_at_ms: int | None = bigint(default=None, nullable=True)
    seal: str = seal_column()


class SettlementSender(SQLModel, table=True):
    """The next nonce of the address that settles; whoever signs holds this row."""

    __tablename__ = "settlement_sender"
    __table_args__ = (CheckConstraint("next_nonce >= 0", name="nonce"),)
    chain_id: int = bigint(primary_key=True)
    address: str = Field(primary_key=True, max_length=42)
    next_nonce: int = bigint()


class SessionToken(SQLModel, table=True):
    """The right to see and to end one session, as the SHA-256 of its text; nothing else of the wallet."""

    __tablename__ = "session_token"
    token_hash: str = Field(primary_key=True, max_length=64)
    wallet: str = Field(foreign_key="wallet.address", max_length=42)
    session_id: str = Field(max_length=36)
    created_at_ms: int = bigint(index=True)


class UsedNonce(SQLModel, table=True):
    """A nonce of ours that came back signed, until it would have run out by itself."""

    __tablename__ = "used_nonce"
    nonce: str = Field(primary_key=True)
    expires_at_ms: int = bigint(index=True)


class SignedKey(SQLModel, table=True):
    """A public SSH key that a wallet signed for a moment ago: its next payment may open a session for it."""

    __tablename__ = "signed_key"
    wallet: str = Field(primary_key=True, max_length=42)
    public_key: str = Field(primary_key=True)
    expires_at_ms: int = bigint(index=True)
