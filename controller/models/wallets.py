"""Wallets, sign-in nonces, browser sessions and rate limits."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from controller.models.base import bigint


class Wallet(SQLModel, table=True):
    """A wallet that signed in or paid. The address is lower-case hex with 0x.

    `idle_minutes`: how long a new desktop of its may be idle before it ends; 0: for ever.
    """

    __tablename__ = "wallet"
    address: str = Field(primary_key=True, max_length=42)
    created_at_ms: int = bigint()
    idle_minutes: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class SignInNonce(SQLModel, table=True):
    """One EIP-4361 nonce, bound to the browser that asked for it, deleted when used."""

    __tablename__ = "sign_in_nonce"
    nonce: str = Field(primary_key=True)
    address: str = Field(max_length=42)
    browser_hash: str
    message: str
    expires_at_ms: int = bigint(index=True)


class WebSession(SQLModel, table=True):
    """A signed-in browser. Only the SHA-256 of the cookie is stored.

    A contract wallet's answer may change, so what it was asked is kept and asked again: digest and
    signature of the sign-in, and when; all three are None for a plain wallet.
    """

    __tablename__ = "web_session"
    __table_args__ = (Index("ix_web_session_recheck", "recheck_at_ms"),)
    token_hash: str = Field(primary_key=True)
    wallet: str = Field(foreign_key="wallet.address", index=True)
    csrf_token: str
    created_at_ms: int = bigint()
    expires_at_ms: int = bigint(index=True)
    contract_digest: str | None = Field(default=None, max_length=66)
    contract_signature: str | None = Field(default=None)
    recheck_at_ms: int | None = bigint(default=None, nullable=True)


class SshKey(SQLModel, table=True):
    """A public key of a wallet: `public_key` is type and blob, never options, never the comment."""

    __tablename__ = "ssh_key"
    __table_args__ = (UniqueConstraint("wallet", "fingerprint"),)
    id: str = Field(primary_key=True, max_length=36)
    wallet: str = Field(foreign_key="wallet.address", max_length=42)
    name: str = Field(max_length=60)
    public_key: str
    fingerprint: str
    created_at_ms: int = bigint()


class ApiToken(SQLModel, table=True):
    """A wallet's API token: the SHA-256 of its text, its scopes with spaces between, its end.

    The last three columns are those of the browser's session that made it (`WebSession`).
    """

    __tablename__ = "api_token"
    __table_args__ = (
        CheckConstraint("scopes <> ''", name="scopes"),
        Index("ix_api_token_recheck", "recheck_at_ms"),
    )
    id: str = Field(primary_key=True, max_length=36)
    wallet: str = Field(foreign_key="wallet.address", index=True, max_length=42)
    name: str = Field(max_length=60)
    token_hash: str = Field(unique=True, max_length=64)
    scopes: str
    created_at_ms: int = bigint()
    expires_at_ms: int = bigint()
    last_used_at_ms: int | None = bigint(default=None, nullable=True)
    contract_digest: str | None = Field(default=None, max_length=66)
    contract_signature: str | None = Field(default=None)
    recheck_at_ms: int | None = bigint(default=None, nullable=True)


class RateLimit(SQLModel, table=True):
    """Requests of one subject (wallet or address) in one fixed window of one scope."""

    __tablename__ = "rate_limit"
    scope: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    window_start_ms: int = bigint(primary_key=True)
    count: int
