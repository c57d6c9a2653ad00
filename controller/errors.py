"""One error tree. The class docstring is what the user reads; `code` is the stable word in API and metrics.

Adapters translate foreign errors into these; views never catch them.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AxonosError(Exception):
    """Something went wrong. Try again; if it stays, tell the operator."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retry: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **detail: Any) -> None:
        """Args: a message instead of the docstring; `detail` goes to the API as it is."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.detail = detail
        super().__init__(self.message)


class Refused(AxonosError):
    """The request cannot be taken."""

    code = "refused"
    status = 400


class BadInput(Refused):
    """A field is missing or has the wrong form."""

    code = "bad_input"


class SignInRefused(Refused):
    """The signature does not fit this site and this wallet. Sign in again."""

    code = "sign_in_refused"
    status = 401


class SignInNeeded(Refused):
    """Sign in with your wallet first."""

    code = "sign_in_needed"
    status = 401


class TokenRefused(Refused):
    """This API token is unknown or was taken back. Make a new one on the site."""

    code = "token_refused"
    status = 401


class ScopeNeeded(Refused):
    """This API token may not do that. Sign in on the site, or make a token with the scope that is named."""

    code = "scope_needed"
    status = 403


class ForbiddenOrigin(Refused):
    """This request did not come from the site's own pages."""

    code = "forbidden_origin"
    status = 403


class HostKeyRefused(Refused):
    """The machine shows another SSH key than was accepted. It may not be the machine you mean."""

    code = "host_key_refused"
    status = 409


class HostLoginRefused(Refused):
    """The machine does not let this user in with this key. Check --address and --key."""

    code = "host_login_refused"
    status = 403


class NotYours(Refused):
    """There is nothing like that for your wallet."""

    code = "not_found"
    status = 404


class TooManyRequests(Refused):
    """Too many requests. Wait a little and try again."""

    code = "too_many_requests"
    status = 429
    retry = True


class UnknownProfile(Refused):
    """There is no such GPU profile. Choose small, medium, large or max."""

    code = "unknown_profile"


class BadSshKey(Refused):
    """This is no public SSH key that we take. Paste the one line of a `.pub` file, as id_ed25519.pub."""

    code = "bad_ssh_key"


class SshKeyNeeded(Refused):
    """An SSH session needs a public key. Add one to your key list, or send one with the request."""

    code = "ssh_key_needed"


class TooManySshKeys(Refused):
    """Your key list is full. Remove a key that you do not use any more."""

    code = "too_many_ssh_keys"
    status = 409


class TooManyTokens(Refused):
    """Your wallet has as many API tokens as it may. Take back one that you do not use any more."""

    code = "too_many_tokens"
    status = 409


class SshKeyKnown(Refused):
    """This key is in your list already."""

    code = "ssh_key_known"
    status = 409


class ProfileTooLarge(Refused):
    """No host of this platform has that many GPUs."""

    code = "profile_too_large"
    status = 409


class NotEnoughCredit(Refused):
    """Your balance does not cover one minute of this profile. Top up first."""

    code = "not_enough_credit"
    status = 402


class SessionAlreadyLive(Refused):
    """You already have a session. Return to it or end it first."""

    code = "session_already_live"
    status = 409


class WrongState(Refused):
    """The session is not in a state in which this can be done."""

    code = "wrong_state"
    status = 409


class ShownElsewhere(Refused):
    """Your desktop is open in another tab or on another device. Take it over, or only look."""

    code = "shown_elsewhere"
    status = 409


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


class TooManyQuotes(Refused):
    """Your wallet holds as many open quotes as it may. Wait until one runs out, or use it."""

    code = "too_many_quotes"
    status = 429
    retry = True


class Unavailable(AxonosError):
    """A part of the platform cannot be reached right now. Try again in a moment."""

    code = "unavailable"
    status = 503
    retry = True


class HostUnreachable(Unavailable):
    """The machine cannot be reached by SSH. Check its address, its SSH server and the network between."""

    code = "host_unreachable"


class ChainUnavailable(Unavailable):
    """The chain cannot be read right now. Deposits are safe and will be credited later."""

    code = "chain_unavailable"


class StateForgotten(ChainUnavailable):
    """The chain's nodes no longer keep the state of that block."""

    code = "chain_state_forgotten"


class NodesDisagree(ChainUnavailable):
    """The chain's nodes do not say the same. Deposits are safe and will be credited once they agree."""

    code = "chain_nodes_disagree"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached right now."""

    code = "database_unavailable"


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


class RunFailed(AxonosError):
    """The desktop could not be started."""

    code = "run_failed"


class HostNotConverged(AxonosError):
    """The machine could not be brought to the state of a host. Run it again: it continues."""

    code = "host_not_converged"
    retry = True


class BackupFailed(AxonosError):
    """The backup was not taken, or cannot be restored. Older backups were left as they are."""

    code = "backup_failed"
    retry = True


class SettingsInvalid(AxonosError):
    """The configuration has problems; nothing was started."""

    code = "settings_invalid"
