"""EIP-4361 verification by the `signinwithethereum` package (imported as `siwe`), strictly.

What the package leaves open is closed here: a required expiry, a window for the issue time, the scheme,
and a node that does not answer is no wrong signature. Nonces are the service's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import siwe
from pydantic import ValidationError
from requests.exceptions import RequestException
from web3.exceptions import Web3Exception

from controller.adapters.node import OneShotProvider
from controller.domain.sign_in_text import MAX_CHARS
from controller.errors import ChainUnavailable, SignInRefused
from controller.services.ports import Clock

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

    def __init__(self, clock: Clock, rpc_urls: Sequence[str], *, timeout_s: float = 5) -> None:
        """Args: the clock that judges times; nodes to ask about contract wallets, in order."""
        self._clock = clock
        self._providers = [OneShotProvider(url, timeout_s=timeout_s) for url in rpc_urls]

    def verify(
        self, message: str, signature: str, *, domain: str, uri: str, chain_id: int, nonce: str
    ) -> str:
        parsed = _parse(message, signature)
        now_ms = self._clock.now_ms()
        _check_times(parsed, now_ms)
        expected: dict[str, object] = {
            "scheme": None if parsed.scheme is None and uri.startswith("https:") else urlsplit(uri).scheme,
            "domain": domain,
            "uri": uri,
            "chain_id": chain_id,
            "nonce": nonce,
            "timestamp": datetime.fromtimestamp(now_ms / 1000, UTC),
            "strict": True,
        }
        try:
            parsed.verify(signature, **expected)
        except siwe.InvalidSignature:
            self._ask_contract(parsed, signature, expected)
        except siwe.VerificationError as error:
            raise _refusal(error) from error
        return str(parsed.address).lower()

    def _ask_contract(self, parsed: siwe.SiweMessage, signature: str, expected: dict[str, object]) -> None:
        for provider in self._providers:
            try:
                parsed.verify(signature, provider=provider, **expected)
            except siwe.VerificationError as error:
                raise _refusal(error) from error
            except (RequestException, Web3Exception, OSError, ValueError):
                continue
            return
        raise ChainUnavailable("Your signature cannot be checked right now: no node of the chain answers.")


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
