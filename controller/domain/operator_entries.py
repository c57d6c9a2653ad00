"""Rules of what operators enter: credit, refund and adjustment, and when a second one must approve.

There is no other way to change a balance than a transfer with a reason. Source: payments.md section 8
("every act a ledger transfer with reason, four eyes above a limit, no balance edits").
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from controller.domain.ledger import Posting, user_account
from controller.domain.profiles import GPU_MS_PER_MINUTE

GIVEN, ADJUSTED, USED = "issued:operator", "issued:adjustment", "used:compute"
SPLIT_WINDOW_MS = 24 * 3_600_000
MOST_GPU_MS = 10**9 * GPU_MS_PER_MINUTE


@dataclass(frozen=True)
class Entry:
    """What an operator asks for.

    `kind` is `credit`, `refund`, `adjust`, `assign` or `return`; `gpu_ms` is signed and only an adjustment
    takes away; `event_id` and `session_id` name what it is about; `proof` is what the operator knows.
    """

    request_id: str
    kind: str
    wallet: str | None
    gpu_ms: int
    reason: str
    event_id: int | None = None
    session_id: str | None = None
    proof: str = ""


def gpu_ms_of(minutes: Decimal) -> int:
    """Minutes of one GPU as GPU-milliseconds.

    Raises:
        ValueError: it is not a whole number of them, or out of all proportion.
    """
    if not minutes.is_finite() or abs(minutes) * GPU_MS_PER_MINUTE > MOST_GPU_MS:
        raise ValueError("minutes are a number of at most a thousand million")
    exact = minutes * GPU_MS_PER_MINUTE
    if exact != exact.to_integral_value():
        raise ValueError("a minute has 60000 parts, no smaller ones")
    return int(exact)


def problem(entry: Entry) -> str | None:
    """Why an entry makes no sense by itself; None when it does."""
    if not entry.reason.strip() or len(entry.reason) > 500:
        return "a reason of 1 to 500 characters is needed"
    if not 0 < len(entry.request_id) <= 64:
        return "a request id has 1 to 64 characters"
    if entry.kind in {"credit", "refund"} and entry.gpu_ms <= 0:
        return "more than nothing must be given"
    if entry.kind == "adjust" and entry.gpu_ms == 0:
        return "an adjustment of nothing changes nothing"
    return None


def same(asked: Entry, known: Entry) -> bool:
    """Whether a repeated request asks for what its id stands for; an assignment may leave its worth open."""
    open_worth = asked.kind == "assign" and asked.gpu_ms == 0
    return asked == (replace(known, gpu_ms=0) if open_worth else known)


def needs_approval(gpu_ms: int, alone_gpu_ms: int, limit_minutes: int) -> bool:
    """Whether a second operator must approve.

    Args:
        gpu_ms: of the entry, signed.
        alone_gpu_ms: what the same operator entered without approval in the last `SPLIT_WINDOW_MS`, so
            that a large entry is not made of small ones.
        limit_minutes: the setting.
    """
    return abs(gpu_ms) + alone_gpu_ms > limit_minutes * GPU_MS_PER_MINUTE


def entry_key(request_id: str) -> str:
    """Key of the entry's transfer in the journal."""
    return f"op:{request_id}"


def posting(entry: Entry, evidence: dict[str, Any]) -> Posting:
    """The transfer that a credit, refund or adjustment is.

    Args:
        entry: what was asked for.
        evidence: who asked, who approved.
    """
    assert entry.wallet is not None
    user, amount = user_account(entry.wallet), abs(entry.gpu_ms)
    source = {"credit": GIVEN, "refund": USED, "adjust": ADJUSTED}[entry.kind]
    sides = (source, user) if entry.gpu_ms > 0 else (user, source)
    return Posting(entry_key(entry.request_id), entry.kind, *sides, amount, why(entry, evidence))


def why(entry: Entry, evidence: dict[str, Any]) -> dict[str, Any]:
    """What the statement and the audit read of an entry."""
    told = {"request": entry.request_id, "reason": entry.reason, **evidence}
    about = {"session": entry.session_id, "event": entry.event_id, "proof": entry.proof or None}
    return {**told, **{name: value for name, value in about.items() if value is not None}}


@dataclass(frozen=True)
class Plan:
    """What an entry would do, shown before anything changes.

    `state` is what it would become: `done`, `waiting` for a second operator, or what it already is.
    """

    request_id: str
    kind: str
    wallet: str | None
    gpu_ms: int
    balance_gpu_ms: int | None
    balance_after_gpu_ms: int | None
    state: str
    because: str
    detail: dict[str, Any] = field(default_factory=dict)
