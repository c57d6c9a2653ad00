"""Coming back without paying: the payer signs a text of ours (`sign-in-with-x`, CAIP-122, EIP-4361).

The nonce is ours and proves itself, so that asking costs no row; once signed it is used up.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete

from controller.domain.sign_in_text import iso
from controller.domain.x402 import NONCE_LIFE_MS, make_nonce, nonce_end_ms, read_object
from controller.errors import SignInRefused
from controller.models import UsedNonce
from controller.services.deps import Deps
from controller.services.ports_settlement import Terms

STATEMENT = "Use the balance of this wallet. No payment is made."
TEXTS = ("domain", "address", "uri", "version", "chainId", "nonce", "issuedAt", "expirationTime", "signature")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PLAIN = re.compile(r"[\x20-\x7e]{1,400}")


@dataclass(frozen=True)
class Proof:
    """What a wallet signed, as its client says it."""

    words: dict[str, str]
    statement: str | None
    resources: tuple[str, ...]
    signature: str


def challenge(deps: Deps, key: bytes, terms: Terms) -> dict[str, Any]:
    """The extension's part of a 402 answer: what is to be signed, with a fresh nonce."""
    now_ms = deps.clock.now_ms()
    info = {
        "domain": deps.settings.web.origin.partition("://")[2],
        "uri": terms.resource,
        "statement": STATEMENT,
        "version": "1",
        "nonce": make_nonce(key, now_ms, secrets.token_bytes(12)),
        "issuedAt": iso(now_ms),
        "expirationTime": iso(now_ms + NONCE_LIFE_MS),
        "resources": [terms.resource],
    }
    return {"info": info, "supportedChains": [{"chainId": terms.network, "type": "eip191"}]}


def read_proof(header: str) -> Proof:
    """Read the header SIGN-IN-WITH-X.

    Raises:
        SignInRefused: it is malformed.
    """
    try:
        found = read_object(header)
    except ValueError as error:
        raise SignInRefused(f"SIGN-IN-WITH-X: {error}.", reason="malformed") from error
    words = {name: found.get(name) for name in TEXTS}
    resources, statement = found.get("resources") or [], found.get("statement")
    texts = [
        *(v for k, v in words.items() if k != "signature"),
        *(resources if isinstance(resources, list) else [0]),
    ]
    if statement is not None:
        texts.append(statement)
    if (
        not all(isinstance(text, str) and _PLAIN.fullmatch(text) for text in texts)
        or not isinstance(words["signature"], str)
        or not _ADDRESS.fullmatch(str(words["address"]))
    ):
        raise SignInRefused("SIGN-IN-WITH-X lacks a field, or one has the wrong form.", reason="malformed")
    signed = {name: str(value) for name, value in words.items() if name != "signature"}
    return Proof(signed, statement, tuple(resources), str(words["signature"]))


def text_of(proof: Proof, checksummed: str) -> str:
    """The text that was signed, by EIP-4361.

    Args:
        proof: what the client sent.
        checksummed: the address as EIP-55 writes it.
    """
    words = proof.words
    lines = [f"{words['domain']} wants you to sign in with your Ethereum account:", checksummed, ""]
    if proof.statement is not None:
        lines += [proof.statement, ""]
    lines += [
        f"URI: {words['uri']}",
        f"Version: {words['version']}",
        f"Chain ID: {words['chainId'].removeprefix('eip155:')}",
        f"Nonce: {words['nonce']}",
        f"Issued At: {words['issuedAt']}",
        f"Expiration Time: {words['expirationTime']}",
    ]
    if proof.resources:
        lines += ["Resources:", *(f"- {resource}" for resource in proof.resources)]
    return "\n".join(lines)


def signed_in(deps: Deps, key: bytes, header: str, terms: Terms) -> str:
    """The wallet that signed; its nonce is used up.

    Raises:
        SignInRefused: with the reason.
        ChainUnavailable: a contract wallet could not be asked.
    """
    proof, now_ms = read_proof(header), deps.clock.now_ms()
    end_ms = nonce_end_ms(key, proof.words["nonce"], now_ms)
    if end_ms is None or proof.words["chainId"] != terms.network:
        raise SignInRefused("This sign-in has run out, or is not ours. Ask again.", reason="nonce")
    signed = deps.sign_in.verify(
        text_of(proof, to_checksum_address(proof.words["address"])),
        proof.signature,
        domain=deps.settings.web.origin.partition("://")[2],
        uri=terms.resource,
        chain_id=terms.chain_id,
        nonce=proof.words["nonce"],
        without_scheme=True,
    )
    with deps.database.begin() as db:
        db.exec(delete(UsedNonce).where(col(UsedNonce.expires_at_ms) < now_ms))
        burned = insert(UsedNonce).values(nonce=proof.words["nonce"], expires_at_ms=end_ms)
        fresh = db.execute(burned.on_conflict_do_nothing().returning(col(UsedNonce.nonce))).first()
    if fresh is None:
        raise SignInRefused("This sign-in was already used. Ask again.", reason="nonce")
    return signed.wallet
