"""A wallet that pays by x402 for the shell it wants: no sign-in on the site, no token made beforehand.

What the wallet has on the site already is used first: it signs for that (`sign-in-with-x`), and pays only
where it is not enough. One payment is one amount that the site offers, and never more than its owner allowed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from x402 import x402ClientSync
from x402.extensions.sign_in_with_x import (
    SIWxPayload,
    assert_siwx_challenge_bound_to_origin,
    create_siwx_message,
    encode_siwx_header,
)
from x402.http.x402_http_client import x402HTTPClientSync
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas import NoMatchingRequirementsError, PaymentRequired

from controller.client import answers
from controller.client.api import Axonos
from controller.client.errors import ApiError, NotReady, PaymentRefused

SESSION: Final = "/api/x402/session"
WAIT_S: Final = 5  # the site's own wait for the shell; who waits longer looks again
PAID_TIMEOUT_S: Final = 120.0
PAID_TRIES: Final = 30
BOOKED_S: Final = 180.0
OVER: Final = ("ended", "failed")


@dataclass(frozen=True)
class Paid:
    """A payment that the site took: its amount in the token's smallest unit, and its transaction."""

    amount: str
    transaction: str


class Payer:
    """The site, for a wallet that pays for each shell it wants and cannot pay from its balance there."""

    def __init__(
        self,
        origin: str,
        private_key: str,
        at_most_usdc: Decimal,
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a payer; nothing is asked or paid yet.

        Args:
            origin: the site's one origin, such as `https://gpu.example.org`.
            private_key: of the wallet, as hex; it signs here and is sent nowhere.
            at_most_usdc: one payment is the largest amount offered that is no more than this.
            transport: httpx's own by default.
            pause: how to wait some seconds.
        """
        self._site = Axonos(origin, {}, transport=transport, pause=pause)
        self._account = Account.from_key(private_key.strip())
        self._at_most = at_most_usdc
        self._token: str | None = None
        self.paid: Paid | None = None

    @property
    def pause(self) -> Callable[[float], None]:
        return self._site.pause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._site.close()

    def claim(self, profile: str, *, ssh_key: str, gpu_model: str = "") -> answers.Session:
        """Have a session for one public key: from the wallet's balance, else for a payment.

        A lost answer is asked for again with the same payment and the same key, which takes no second one.

        Raises:
            PaymentRefused: nothing that is offered may be paid, or the site did not take it.
            ApiError: the site refused it; no money moved.
            NotReady: the money is booked as the wallet's credit, and no session came of it.
            Unreachable: the site does not answer.
        """
        wish = {"profile": profile, "ssh_key": ssh_key, "gpu_model": gpu_model, "wait_s": WAIT_S}
        terms = self._terms(self._post(wish, again=True))
        if terms is None:
            raise PaymentRefused("the site did not say what it costs")
        answer = self._post(wish, {"SIGN-IN-WITH-X": self._signed(terms)})
        if answer.status_code == httpx.codes.PAYMENT_REQUIRED:
            answer = self._pay(wish, self._terms(answer) or terms)
        return self._session(wish, answer.json())

    def current(self) -> answers.Session | None:
        """The session that was claimed, or None once it is over."""
        if self._token is None:
            return None
        said = self._site.send("GET", SESSION, headers=self._bearer(), again=True).json()["session"]
        return None if said is None or said["state"] in OVER else answers.session(said)

    def end(self, session_id: str) -> answers.Session:
        """End the session that was claimed; files and credit stay."""
        said = self._site.send("POST", f"{SESSION}/end", headers=self._bearer(), again=True).json()["session"]
        assert said["id"] == session_id, "a session token opens one session"
        return answers.session(said)

    def _post(
        self, wish: dict[str, Any], headers: dict[str, str] | None = None, *, again: bool = False
    ) -> httpx.Response:
        return self._site.send("POST", SESSION, wish, headers=headers, again=again, expected=(402,))

    def _terms(self, answer: httpx.Response) -> PaymentRequired | None:
        """What a 402 asks for, by version 2 of the protocol."""
        if answer.status_code != httpx.codes.PAYMENT_REQUIRED:
            return None
        try:
            found = x402HTTPClientSync(x402ClientSync()).get_payment_required_response(answer.headers.get)
        except ValueError:
            return None
        return found if isinstance(found, PaymentRequired) else None

    def _signed(self, terms: PaymentRequired) -> str:
        """The header that signs for the balance; only a text that names this very site is signed."""
        told = (terms.extensions or {}).get("sign-in-with-x") or {}
        try:
            chosen = {**told["info"], **told["supportedChains"][0]}
            assert_siwx_challenge_bound_to_origin(chosen, self._site.origin + SESSION)
        except (KeyError, IndexError, ValueError) as error:
            raise PaymentRefused(f"the site asks to sign something else: {error}") from error
        message = create_siwx_message(chosen, self._account.address)
        signature = "0x" + self._account.sign_message(encode_defunct(text=message)).signature.hex()
        return encode_siwx_header(SIWxPayload(**chosen, address=self._account.address, signature=signature))

    def _pay(self, wish: dict[str, Any], terms: PaymentRequired) -> httpx.Response:
        client = x402ClientSync(lambda _, offers: max(offers, key=lambda offer: int(offer.get_amount())))
        client.set_spend_controls({"max_amount_per_payment": f"${self._at_most:f}"})
        register_exact_evm_client(client, EthAccountSigner(self._account))
        try:
            payment = client.create_payment_payload(terms)
        except NoMatchingRequirementsError as error:
            offered = ", ".join(f"{Decimal(offer.amount) / 10**6:f}" for offer in terms.accepts)
            why = f"of what is offered ({offered or 'nothing'}) nothing is USDC up to {self._at_most:f}"
            raise PaymentRefused(why) from error
        headers = x402HTTPClientSync(client).encode_payment_signature_header(payment)
        answer = self._site.send(
            "POST",
            SESSION,
            wish,
            headers={**headers, "Idempotency-Key": secrets.token_urlsafe(24)},
            again=True,
            tries=PAID_TRIES,
            expected=(402,),
            timeout_s=PAID_TIMEOUT_S,
        )
        if answer.status_code == httpx.codes.PAYMENT_REQUIRED:
            raise PaymentRefused(str(answer.json().get("error", "payment_required")))
        return answer

    def _session(self, wish: dict[str, Any], given: dict[str, Any]) -> answers.Session:
        """The session of an answer; while its money is only on its way, the token claims it."""
        self._token = given["session_token"]
        until = time.monotonic() + BOOKED_S
        while True:
            if payment := given["payment"]:
                self.paid = Paid(payment["amount"], payment["transaction"])
            if given["session"] is not None:
                return answers.session(given["session"])
            if time.monotonic() > until:
                raise NotReady(f"Paid, and kept as credit; there is no session. {_problem(given)}".strip())
            self.pause(1)
            try:
                given = self._site.send("POST", SESSION, wish, headers=self._bearer(), again=True).json()
            except ApiError as error:
                if error.status == httpx.codes.PAYMENT_REQUIRED:
                    self.paid = None
                    raise PaymentRefused("it did not settle") from error
                raise

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}


def _problem(given: dict[str, Any]) -> str:
    return str((given["problem"] or {}).get("message", ""))
