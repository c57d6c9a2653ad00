"""What the API takes: a model for each JSON body and query, which checks a request and describes it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import WithJsonSchema as Shown

from controller.domain.profiles import PROFILES
from controller.domain.scopes import SCOPES
from controller.domain.tabs import MAX_TAB
from controller.errors import BadInput
from controller.services.queue.gpu_choice import MAX_MODEL
from controller.services.sessions.idle import MOST_MINUTES
from controller.services.shells.public_keys import MAX_KEY_CHARS
from controller.web.context import body

B = TypeVar("B", bound="Body")
MAX_DIGITS = 78


def _text(limit: int, least: int = 1, pattern: str = r"^[^\x00]*$") -> StringConstraints:
    """A text without the character that PostgreSQL keeps in no text."""
    return StringConstraints(min_length=least, max_length=limit, pattern=pattern)


def _whole(value: object) -> int:
    """A whole number, as a number or, where it is large, as text."""
    text = str(value)
    if isinstance(value, bool) or not (text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS):
        raise ValueError("must be a whole number")
    return int(text)


def _one_of(*words: str) -> Any:
    """The words that help; another one is refused by the service, with an error of its own."""
    return Field(json_schema_extra={"enum": list(words)})


Text = Annotated[str, _text(256)]
TxHash = Annotated[str, _text(80)]
_NUMBER = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1},
        {"type": "string", "pattern": f"^[0-9]{{1,{MAX_DIGITS}}}$"},
    ]
}
Whole = Annotated[int, BeforeValidator(_whole), Shown(_NUMBER)]
Model = Annotated[str, _text(MAX_MODEL, 0)]
Instant = Annotated[int, Field(ge=0, lt=10**15)]


class Body(BaseModel):
    """A JSON object; what it does not know it does not look at."""

    model_config = ConfigDict(strict=True, frozen=True)


class Nothing(Body):
    """No field is needed; the body may be missing."""


class SnapshotWhy(Body):
    """`why`: the owner's own words."""

    why: Annotated[str, _text(200, 0)] = ""


class HomeDelete(Body):
    """`confirm`: the wallet's address, typed once more."""

    confirm: Text


class SignInAddress(Body):
    """The wallet that wants to sign in: `0x` and 40 hex digits."""

    address: Text


class SignIn(Body):
    """The text of `sign-in/start` and the wallet's signature of it."""

    message: Annotated[str, _text(16_384, 0)] = ""
    signature: Annotated[str, _text(65_536, 0)] = ""


class SignOut(Body):
    """`everywhere` ends the wallet's sign-ins in all browsers."""

    everywhere: bool = False


class QuoteWish(Body):
    """`amount` (`min`, or digits in the token's smallest unit) or `gpu_hours`: one of the two."""

    rail: Annotated[str, _text(8), _one_of("eth", "usdc", "axgt")]
    amount: Annotated[str, _text(MAX_DIGITS)] | None = None
    gpu_hours: Annotated[int, Field(ge=1)] | None = None


class DepositHint(Body):
    """A transaction that pays here."""

    tx_hash: TxHash


class AssignmentWords(Body):
    """Which deposit is to go to whom."""

    chain_id: Whole
    tx_hash: TxHash
    event_index: Annotated[str, _text(130)]
    beneficiary: Annotated[str, _text(42)]


class SignedAssignment(AssignmentWords):
    """The same with what the payer signed."""

    nonce: Whole
    deadline: Whole
    signature: Annotated[str, _text(16_384)]


class Claim(Body):
    """A session to start; `ssh_key` is a public key, or the id of one of the list.

    `gpu_model` is one of `/profiles`; it runs on such GPUs only. Empty for any.
    """

    profile: Annotated[Text, _one_of(*PROFILES)]
    kind: Annotated[Text, _one_of("desktop", "ssh")] | None = None
    fresh_start: bool = False
    ssh_key: Annotated[str, _text(MAX_KEY_CHARS)] | None = None
    accept_bounded: bool = False
    accept_until_ms: Instant | None = None
    gpu_model: Model = ""


class AgentWish(Body):
    """A shell for one public key; a payment needs both, whoever only looks for the terms neither.

    `wait_s`: how long to wait for it before the answer is 202. `gpu_model`: on such GPUs only.
    """

    profile: Annotated[Text, _one_of(*PROFILES)] | None = None
    ssh_key: Annotated[str, _text(MAX_KEY_CHARS)] | None = None
    accept_bounded: bool = False
    wait_s: Instant | None = None
    gpu_model: Model = ""


class AgentHeaders(Body):
    """The client's own name for a request, and the one version it wants the terms in."""

    idempotency_key: Annotated[str, _text(255, 16, r"^[\x21-\x7e]+$")] | None = Field(
        None, alias="Idempotency-Key"
    )
    version: Annotated[str, _one_of("1", "2")] | None = Field(None, alias="X-X402-Version")


class TermsVersion(Body):
    """The one version that the terms are wanted in."""

    x402_version: Annotated[str, _one_of("1", "2")] | None = None


class TabWords(Body):
    """Which of several tabs asks; programs leave it out. `csrf_token` only where no header can be sent."""

    tab: Annotated[str, _text(MAX_TAB, pattern=r"^[0-9A-Za-z-]+$")] | None = None
    view_only: bool = False
    take: bool = False
    csrf_token: str | None = None


class OutlookOf(Body):
    """The size that is asked about, and the GPU model."""

    profile: Annotated[str, _one_of(*PROFILES)]
    gpu_model: Model = ""


class ProfilesOf(Body):
    """The GPU model that is asked about; empty for any."""

    gpu_model: Model = ""


class Acceptance(Body):
    """The guarantee its owner was shown; a shorter one is not taken."""

    accept_until_ms: Instant | None = None


class IdleWish(Body):
    """Minutes without use after which a desktop ends; 0 is for ever."""

    minutes: Annotated[int, Field(ge=0, le=MOST_MINUTES)]


class NewKey(Body):
    """The line of a `.pub` file; its name is its comment by default."""

    public_key: Annotated[str, _text(2 * MAX_KEY_CHARS)]
    name: Text | None = None


class KeyName(Body):
    """What a key is called."""

    name: Text


class NewTokenWish(Body):
    """A token to make: its name, its scopes, and the days it is good for."""

    name: Text
    scopes: Annotated[list[Annotated[Text, _one_of(*SCOPES)]], Field(min_length=1, max_length=64)]
    days: Annotated[int, Field(ge=1, le=366)] = 30


class Page(Body):
    """`before` is the `next` of the page before."""

    before: Annotated[int, Field(ge=0, lt=10**18)] | None = None
    limit: Annotated[int, Field(ge=0, lt=10**18)] | None = None


def asked(model: type[B]) -> B:
    """The request's JSON object as a model; a body may be missing where every field may.

    Raises:
        BadInput: with the field that is wrong.
    """
    missing = not request.content_length and not any(f.is_required() for f in model.model_fields.values())
    return _read(model, {} if missing else body())


def _read(model: type[B], value: dict[str, Any]) -> B:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise BadInput(f"`{field}`: {first['msg'].removeprefix('Value error, ')}.", field=field) from error
