"""One error tree. The class docstring is what the user reads; `code` is the stable word in API and metrics.

Adapters translate foreign errors into these; views never catch them.
"""

from __future__ import annotations

from controller.errors.base import AxonosError as AxonosError
from controller.errors.base import BadInput as BadInput
from controller.errors.base import Refused as Refused
from controller.errors.base import Unavailable as Unavailable
from controller.errors.money import AmountRefused as AmountRefused
from controller.errors.money import AssignmentRefused as AssignmentRefused
from controller.errors.money import ChainUnavailable as ChainUnavailable
from controller.errors.money import DepositNotFound as DepositNotFound
from controller.errors.money import EntryRefused as EntryRefused
from controller.errors.money import JournalConflict as JournalConflict
from controller.errors.money import MalformedPayment as MalformedPayment
from controller.errors.money import NodesDisagree as NodesDisagree
from controller.errors.money import NothingForUs as NothingForUs
from controller.errors.money import PaymentNeeded as PaymentNeeded
from controller.errors.money import PaymentsHeld as PaymentsHeld
from controller.errors.money import PaymentUsed as PaymentUsed
from controller.errors.money import PriceUnavailable as PriceUnavailable
from controller.errors.money import RailNotOffered as RailNotOffered
from controller.errors.money import RequestConflict as RequestConflict
from controller.errors.money import SettlementPaused as SettlementPaused
from controller.errors.money import SignatureNeeded as SignatureNeeded
from controller.errors.money import StateForgotten as StateForgotten
from controller.errors.money import TooManyQuotes as TooManyQuotes
from controller.errors.money import TransactionFailed as TransactionFailed
from controller.errors.money import UnsupportedToken as UnsupportedToken


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


class UnknownGpuModel(Refused):
    """No GPU host of this platform has that GPU model. Choose another, or none for whatever is free first."""

    code = "unknown_gpu_model"


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


class HomeNotReady(Refused):
    """Something is being done to your files right now. Try again in a moment."""

    code = "home_not_ready"
    status = 409
    retry = True


class HomePutAway(Refused):
    """Your files were put away for their storage debt. Bring them back on the Files page first."""

    code = "home_put_away"
    status = 409


class NoHome(Refused):
    """This wallet has no files here. They come with the first session."""

    code = "no_home"
    status = 404


class WrongState(Refused):
    """The session is not in a state in which this can be done."""

    code = "wrong_state"
    status = 409


class ShownElsewhere(Refused):
    """Your desktop is open in another tab or on another device. Take it over, or only look."""

    code = "shown_elsewhere"
    status = 409


class HostUnreachable(Unavailable):
    """The machine cannot be reached by SSH. Check its address, its SSH server and the network between."""

    code = "host_unreachable"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached right now."""

    code = "database_unavailable"


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
