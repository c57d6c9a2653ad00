"""Signatures of wallets: EIP-4361 texts by the package `signinwithethereum` (imported as `siwe`), EIP-712.

What the package leaves open is closed here: a required expiry, a window for the issue time, the scheme,
and a node that does not answer is no wrong signature. Nonces are the service's business. A plain wallet,
with EIP-7702 code or without, needs no network; only another signature than its own asks a contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import siwe
from eth_account import Account
from eth_account.messages import SignableMessage, encode_defunct, encode_typed_data
from eth_utils.crypto import keccak
from pydantic import ValidationError

from controller.adapters.contract_wallets import ContractWallets
from controller.domain.sign_in_text import MAX_CHARS
from controller.errors import SignInRefused
from controller.services.ports import Clock, SignedBy

MAX_AGE_MS = 10 * 60_000
MAX_AHEAD_MS = 30_000
MAX_SIGNATURE_CHARS = 16_384
_REASONS: dict[type[Exception], tuple[str, str]] = {
    siwe.DomainMismatch: ("domain", "This text was signed for another site. Sign in here, on this page."),
    siwe.SchemeMismatch: ("domain", "This text was signed for another site. Sign in here, on this page."),
    siwe.UriMismatch: ("domain", "This text was signed for another site. Sign in here, on this page."),
    siwe.ChainIdMismatch: ("chain", "This text was signed for another chain. Sign in again."),
    siwe.NonceMismatch: ("nonce", "This sign-in was already used. Sign in again."),
    siwe.ExpiredMessage: ("expired", "This sign-in has run out. Sign in again."),
    siwe.NotYetValidMessage: ("early", "This sign-in is not valid yet. Is a clock wrong?"),
    siwe.InvalidSignature: ("signature", "The signature does not belong to this wallet. Sign in again."),
}


class SiweVerifier:
    """Implements `ports.SignInVerifier`: plain wallets without network, contract wallets through a node."""

    def __init__(self, clock: Clock, nodes: Mapping[int, Sequence[str]], *, timeout_s: float = 5) -> None:
        """Args: the clock that judges times; by chain id, nodes to ask about contract wallets, in order."""
        self._clock = clock
        self._contracts = ContractWallets(nodes, timeout_s=timeout_s)

    def verify(
        self,
        message: str,
        signature: str,
        *,
        domain: str,
        uri: str,
        chain_id: int,
        nonce: str,
        without_scheme: bool = False,
    ) -> SignedBy:
        parsed = _parse(message, signature)
        now_ms = self._clock.now_ms()
        _check_times(parsed, now_ms)
        wallet = str(parsed.address).lower()
        bare = parsed.scheme is None and (without_scheme or uri.startswith("https:"))
        try:
            parsed.verify(
                signature,
                scheme=None if bare else urlsplit(uri).scheme,
                domain=domain,
                uri=uri,
                chain_id=chain_id,
                nonce=nonce,
                timestamp=datetime.fromtimestamp(now_ms / 1000, UTC),
                strict=True,
            )
        except siwe.InvalidSignature as error:
            digest = _digest(encode_defunct(text=parsed.prepare_message()))
            if not self._contracts.accept(wallet, digest, signature, chain_id):
                raise _refusal(error) from error
            return SignedBy(wallet, "0x" + digest.hex())
        except siwe.VerificationError as error:
            raise _refusal(error) from error
        return SignedBy(wallet, None)

    def still_signed(self, wallet: str, digest: str, signature: str, *, chain_id: int) -> bool:
        return self._contracts.accept(wallet, bytes.fromhex(digest[2:]), signature, chain_id)

    def signed_words(self, wallet: str, words: dict[str, Any], signature: str, *, chain_id: int) -> bool:
        if len(signature) > MAX_SIGNATURE_CHARS:
            return False
        message = encode_typed_data(full_message=words)
        if _recovered(message, signature) == wallet.lower():
            return True
        return self._contracts.accept(wallet, _digest(message), signature, chain_id)


def _digest(message: SignableMessage) -> bytes:
    """What is really signed (EIP-191): the version byte, the header and the body, hashed."""
    return keccak(b"\x19" + message.version + message.header + message.body)


def _recovered(message: SignableMessage, signature: str) -> str | None:
    try:
        return str(Account.recover_message(message, signature=signature)).lower()
    except Exception:  # noqa: BLE001 - the library raises whatever its parts raise; none of it is a plain wallet's
        return None


def _parse(message: str, signature: str) -> siwe.SiweMessage:
    if len(message) > MAX_CHARS or len(signature) > MAX_SIGNATURE_CHARS:
        raise SignInRefused("The sign-in text or its signature is too long.", reason="too_long")
    try:
        return siwe.SiweMessage.from_message(message)
    except (ValueError, ValidationError) as error:
        raise SignInRefused("This is no sign-in text (EIP-4361).", reason="malformed") from error


def _check_times(parsed: siwe.SiweMessage, now_ms: int) -> None:
    if parsed.expiration_time is None:
        raise SignInRefused("The sign-in text has no expiration time.", reason="malformed")
    issued_ms = int(datetime.fromisoformat(str(parsed.issued_at)).timestamp() * 1000)
    if not now_ms - MAX_AGE_MS <= issued_ms <= now_ms + MAX_AHEAD_MS:
        raise SignInRefused("This sign-in has run out. Sign in again.", reason="expired")


def _refusal(error: siwe.VerificationError) -> SignInRefused:
    reason, text = _REASONS.get(type(error), ("signature", "The signature could not be verified."))
    return SignInRefused(text, reason=reason)
