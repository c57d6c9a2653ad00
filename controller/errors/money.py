"""What can go wrong with deposits, payments, prices and the books."""

from __future__ import annotations

from controller.errors.base import AxonosError, BadInput, Refused, Unavailable


class DepositNotFound(Refused):
    """This transaction is not known on the chain yet. It is looked up again by itself."""

    code = "transaction_unknown"
    status = 404
    retry = True


class TransactionFailed(Refused):
    """This transaction failed on the chain: nothing was paid, nothing is credited."""

    code = "transaction_failed"
    status = 422


class NothingForUs(Refused):
    """This transaction pays nothing to the revenue wallet."""

    code = "not_to_revenue_wallet"
    status = 422


class UnsupportedToken(NothingForUs):
    """This transaction sent a token that is not accepted here. It is not credited; ask the operator."""

    code = "unsupported_token"


class EntryRefused(Refused):
    """This entry cannot be made."""

    code = "entry_refused"
    status = 409


class RequestConflict(Refused):
    """This request id stands for another entry. Use a new one for a new entry."""

    code = "request_conflict"
    status = 409


class AssignmentRefused(Refused):
    """This deposit cannot be assigned."""

    code = "assignment_refused"
    status = 409


class RailNotOffered(Refused):
    """This currency is not accepted here."""

    code = "rail_not_offered"
    status = 409


class AmountRefused(Refused):
    """No price is held for an amount below the minimum or above the most a quote may be for."""

    code = "amount_refused"
    status = 409


class PaymentNeeded(Refused):
    """This costs something. Pay one of the offered amounts, or sign in to use the balance that you have."""

    code = "payment_required"
    status = 402


class MalformedPayment(BadInput):
    """The payment cannot be read. Send what your x402 client makes, unchanged."""

    code = "malformed_payment"


class PaymentUsed(Refused):
    """This payment was used before, for this or for another request. Its money is in the payer's balance.

    Send the same Idempotency-Key to see its answer again, or sign in (`SIGN-IN-WITH-X`) to use the balance.
    """

    code = "payment_used"
    status = 409


class SignatureNeeded(Refused):
    """A payment alone does not open what this wallet has here. Nothing was taken.

    Ask for this session with SIGN-IN-WITH-X first, and pay where the balance is not enough; or pay for the
    key of your last session.
    """

    code = "signature_needed"
    status = 401


class TooManyQuotes(Refused):
    """Your wallet holds as many open quotes as it may. Wait until one runs out, or use it."""

    code = "too_many_quotes"
    status = 429
    retry = True


class ChainUnavailable(Unavailable):
    """The chain cannot be read right now. Deposits are safe and will be credited later."""

    code = "chain_unavailable"


class StateForgotten(ChainUnavailable):
    """The chain's nodes no longer keep the state of that block."""

    code = "chain_state_forgotten"


class NodesDisagree(ChainUnavailable):
    """The chain's nodes do not say the same. Deposits are safe and will be credited once they agree."""

    code = "chain_nodes_disagree"


class PaymentsHeld(Unavailable):
    """The address that payments go to was changed and must be confirmed first. Send nothing until then."""

    code = "payments_held"


class SettlementPaused(Unavailable):
    """Payments by x402 are paused for the moment. Nothing was taken; try again later."""

    code = "settlement_paused"


class PriceUnavailable(Unavailable):
    """There is no trustworthy price right now. Deposits are safe and will be credited later."""

    code = "price_unavailable"


class JournalConflict(AxonosError):
    """A money transfer was asked for twice with different contents. Nothing was posted; tell the operator."""

    code = "journal_conflict"
