"""Takes payments by HTTP 402: settled first, booked, and only then whatever they are for.

A payment authorises its own request and nothing else. A settlement's signature is public once it is on the
chain, so a payment that was seen before opens nothing unless the client's own idempotency key comes with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from controller.domain.x402 import Payload
from controller.errors import ChainUnavailable, PaymentNeeded, PaymentUsed, SettlementPaused
from controller.models import X402Payment
from controller.services.alerts import raise_alert
from controller.services.deps import Deps
from controller.services.ports_settlement import Settled, Settler, Terms
from controller.services.pricing.payment_addresses import require_accepted
from controller.services.pricing.prices import price_of
from controller.services.wallets.sign_in import hash_secret, rate_limit
from controller.services.x402.outcome import DECIDED, Outcome, book_stray, on_receipt, on_sending, resync
from controller.services.x402.sign import Order, known, newest, sender_known, sign
from controller.services.x402.terms import chosen, rail

PAYMENTS_PER_MINUTE = 20
PRICE_KEPT_S = 15.0
LOOK_S = 0.05
UNUSABLE = "invalid_exact_evm_nonce_already_used"


class Desk:
    """One process's place where payments are taken; at most half of its threads settle at once."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._settling = threading.BoundedSemaphore(max(deps.settings.web.threads // 2, 1))
        self._waiting = threading.BoundedSemaphore(max(deps.settings.web.threads // 4, 1))
        self._priced_s: float | None = None

    @contextmanager
    def waiting(self) -> Iterator[bool]:
        """Whether this request may wait for its shell: those that wait must leave threads to all others."""
        may = self._waiting.acquire(blocking=False)
        try:
            yield may
        finally:
            if may:
                self._waiting.release()

    def ready(self) -> None:
        """Nothing, where money may be taken now.

        Raises:
            PaymentsHeld: the payment addresses were changed and not approved.
            PriceUnavailable: USDC is not worth its dollar, or nobody says so.
            SettlementPaused: gas is too dear.
            ChainUnavailable: the chain cannot be read.
        """
        require_accepted(self._deps)
        if self._priced_s is None or time.monotonic() > self._priced_s + PRICE_KEPT_S:
            chain = self._deps.chains[self._deps.settings.chain_of("usdc").chain_id]
            price_of(self._deps, "usdc", chain.head())
            self._priced_s = time.monotonic()
        rail(self._deps).settler.prepare()

    def take(
        self,
        asked: Terms,
        payload: Payload,
        wanted: str,
        *,
        key: str | None,
        caller: str,
        ssh_key: str = "",
    ) -> Outcome:
        """Settle a payment and book it; the same request again gets the same outcome.

        Args:
            asked: what may be paid.
            payload: the payment.
            wanted: hash of what it is for.
            key: the client's idempotency key, if any.
            caller: who sends it, as a keyed hash; nobody can use up another's tries.
            ssh_key: the key of the session that it is to open, empty where it is to open none.

        Returns:
            its row, `settled`, or `signed` while no block holds it; then the worker goes on with it.

        Raises:
            PaymentNeeded: it is not good; nothing was taken.
            PaymentUsed: it was used before.
            Unavailable: it cannot be settled now; nothing was taken.
        """
        deps, signed = self._deps, payload.authorization
        key_hash = hash_secret(key) if key else ""
        order = Order(asked.chain_id, signed, wanted, key_hash, ssh_key)
        before = self._known(order)
        if before is not None:
            return self._again(order, before)
        one = chosen(asked, payload, deps.clock.now_ms())
        rate_limit(deps, "x402-payment", f"{caller} {signed.payer}", PAYMENTS_PER_MINUTE, 60)
        if not self._settling.acquire(blocking=False):
            raise SettlementPaused("Too many payments at once. Nothing was taken.", retry_after_s=1)
        try:
            self.ready()
            return self._settle(order, payload, one)
        finally:
            self._settling.release()

    def _settle(self, order: Order, payload: Payload, one: Terms) -> Outcome:
        deps, settler = self._deps, rail(self._deps).settler
        first = 0 if sender_known(deps) else settler.pending_nonce()
        try:
            done = settler.settle(payload, one, lambda build: sign(deps, order, build, first))
        except PaymentUsed:
            before = self._known(order)
            if before is None:
                raise
            return self._again(order, before)
        except SettlementPaused as error:
            self._tell(error)
            raise
        if done.refused is not None:
            return self._refused(order, done.refused)
        return self._sent(order, done, settler)

    def _refused(self, order: Order, reason: str) -> Outcome:
        before = self._known(order)
        if before is not None:
            return self._again(order, before)
        if reason == UNUSABLE:
            # Whoever sent it first: the money is the payer's credit. The signature is public by now, so it
            # opens nothing.
            book_stray(self._deps, order.signed.payer, order.signed.nonce, order.signed.amount)
            raise PaymentUsed
        raise PaymentNeeded(reason=reason)

    def _sent(self, order: Order, done: Settled, settler: Settler) -> Outcome:
        """What came of a settlement that was signed; the worker may have looked first, and decided it."""
        with self._deps.database.begin() as db:
            row = newest(db, order)
        found = Outcome(row)
        if done.receipt is not None:
            try:
                found = on_receipt(self._deps, row, done.receipt)
            except ChainUnavailable:
                return found  # the worker goes on with it
        elif done.sending is not None:
            found = Outcome(on_sending(self._deps, row, done.sending))
            if done.sending.outcome == "nonce":
                self._resync(row, settler)
        if found.row.state == "reverted":
            raise PaymentNeeded(reason="invalid_transaction_state", transaction=row.tx_hash)
        if found.row.state in ("unsent", "skipped"):
            raise SettlementPaused(
                "The payment could not be put on the chain. Nothing was taken.", retry_after_s=5
            )
        return found

    def _resync(self, row: X402Payment, settler: Settler) -> None:
        try:
            resync(self._deps, row, settler.pending_nonce())
        except ChainUnavailable:
            return  # the next settlement finds its nonce used, too, and asks again

    def _again(self, order: Order, row: X402Payment) -> Outcome:
        """The answer to a payment that is known: its own, for whoever has its key and wants the same."""
        if not order.key_hash or (row.idempotency_hash, row.wanted) != (order.key_hash, order.wanted):
            raise PaymentUsed(transaction=row.tx_hash)
        end_s = time.monotonic() + rail(self._deps).settings.receipt_wait_s
        while row.state not in DECIDED and time.monotonic() < end_s:
            time.sleep(LOOK_S)
            row = self._known(order) or row
        if row.state != "settled":
            return Outcome(row)
        try:
            return self._credited(row)
        except ChainUnavailable:
            return Outcome(row)

    def _credited(self, row: X402Payment) -> Outcome:
        receipt = rail(self._deps).settler.receipt(row.tx_hash)
        return Outcome(row) if receipt is None else on_receipt(self._deps, row, receipt)

    def _known(self, order: Order) -> X402Payment | None:
        with self._deps.database.begin() as db:
            return known(db, order)

    def _tell(self, error: SettlementPaused) -> None:
        with self._deps.database.begin() as db:
            raise_alert(db, "settlement", "breaker", error.message, self._deps.clock.now_ms())
