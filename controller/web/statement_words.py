"""The statement in words: what each entry is, and its reason as a sentence.

Only for reading. The JSON and CSV answers carry every transfer with its whole evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.domain.pricing import amount_text
from controller.domain.profiles import PROFILES
from controller.services.money.statement import StatementEntry

KINDS = {
    "deposit": "Deposit",
    "top-up": "Deposit, holder tier made up for",
    "reversal": "Deposit reversed",
    "use": "GPU session",
    "storage": "Storage",
    "unopened": "Returned: nobody opened the session",
    "credit": "Credit by the operator",
    "refund": "Refund by the operator",
    "adjust": "Adjustment by the operator",
    "assign": "Deposit assigned",
}
USED = {"desktop": "GPU desktop", "ssh": "GPU shell"}
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class ReadableLine:
    """A line of the statement page; `session` links to its single windows."""

    at_ms: int
    what: str
    gpu_ms: int
    balance_after_gpu_ms: int
    why: str
    reference: str
    session: str = ""


def readable(entries: Iterable[StatementEntry], chains: Mapping[int, str]) -> list[ReadableLine]:
    """Entries of the service in words.

    Args:
        entries: newest first.
        chains: names of chains by id.
    """
    return [_line(entry, chains) for entry in entries]


def what_of(kind: str, why: Mapping[str, Any]) -> str:
    """A kind of transfer in words; a session by what it was."""
    if kind == "use" and why.get("kind") in USED:
        return USED[why["kind"]]
    return KINDS.get(kind, kind.replace("_", " ").capitalize())


def why_of(kind: str, newest: dict[str, Any], oldest: dict[str, Any], chains: Mapping[int, str]) -> str:
    """The reason of a transfer, or of a session's charges from `oldest` to `newest`, as a sentence."""
    if kind == "use":
        return _use(newest, oldest)
    if kind == "storage":
        return _storage(newest, oldest)
    parts = [str(newest[k]) for k in ("reason", "why") if newest.get(k)]
    return ". ".join(filter(None, [*parts, _deposit(newest, chains)]))


def safe_cell(text: str) -> str:
    """A text as a spreadsheet may open it: never taken for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(entry: StatementEntry, chains: Mapping[int, str]) -> ReadableLine:
    session = str(entry.newest.get("session", ""))
    tx = str(entry.newest.get("tx_hash", ""))
    return ReadableLine(
        at_ms=entry.at_ms,
        what=what_of(entry.kind, entry.newest),
        gpu_ms=entry.gpu_ms,
        balance_after_gpu_ms=entry.balance_after_gpu_ms,
        why=why_of(entry.kind, entry.newest, entry.oldest, chains),
        reference=f"{tx[:10]}…{tx[-6:]}" if tx else session[:8],
        session=session,
    )


def _use(newest: dict[str, Any], oldest: dict[str, Any]) -> str:
    seconds = (int(newest.get("to_ms", 0)) - int(oldest.get("from_ms", 0))) // 1000
    profile = PROFILES.get(str(newest.get("profile")))
    gpus = int(newest.get("gpus", 0))
    size = f"{profile.title}, " if profile else ""
    length = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{size}{gpus} GPU{'s' if gpus != 1 else ''} for {length}"


def _storage(newest: dict[str, Any], oldest: dict[str, Any]) -> str:
    """How much lay there for how long; while a session ran it was free, unless the operator bills always."""
    hours = (int(newest.get("to_ms", 0)) - int(oldest.get("from_ms", 0))) / 3_600_000
    size = int(newest.get("bytes", 0)) / 10**9
    when = "at all times" if newest.get("billed") == "always" else "while no session ran"
    length = f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
    return f"{size:.2f} GB kept for {length}, charged {when}"


def _deposit(why: dict[str, Any], chains: Mapping[int, str]) -> str:
    parts = []
    if {"amount", "token_decimals", "asset"} <= why.keys():
        parts.append(
            f"{amount_text(int(why['amount']), int(why['token_decimals']))} {str(why['asset']).upper()}"
        )
    if {"usd_answer", "usd_decimals"} <= why.keys():
        parts.append(f"at ${amount_text(int(why['usd_answer']), int(why['usd_decimals']))}")
    if why.get("discount_bps"):
        parts.append(f"with {int(why['discount_bps']) / 100:g} % holder discount")
    if why.get("bonus_bps"):
        parts.append(f"with {int(why['bonus_bps']) / 100:g} % bonus")
    if why.get("quote"):
        parts.append("as quoted")
    if parts and why.get("chain_id") in chains:
        parts.append(f"on {chains[why['chain_id']]}")
    return " ".join(parts)
