"""The statement in words: one line per session instead of one per tick, and each line's reason as a sentence.

Only for reading. The JSON and CSV answers carry every transfer with its whole evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controller.domain.pricing import amount_text
from controller.domain.profiles import PROFILES
from controller.services.ledger import StatementLine

KINDS = {"deposit": "Deposit", "use": "GPU session", "reversal": "Deposit reversed"}


@dataclass(frozen=True)
class ReadableLine:
    """A line of the statement page."""

    at_ms: int
    what: str
    gpu_ms: int
    balance_after_gpu_ms: int
    why: str
    reference: str


def readable(lines: Iterable[StatementLine]) -> list[ReadableLine]:
    """Newest first, as the service gives them; neighbouring charges of one session become one line.

    The sum of `gpu_ms` stays what it was.
    """
    groups: list[list[StatementLine]] = []
    for line in lines:
        if groups and _session(line) and _session(line) == _session(groups[-1][0]):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_line(group) for group in groups]


def _session(line: StatementLine) -> str:
    return str(line.why.get("session", "")) if line.kind == "use" else ""


def _line(group: list[StatementLine]) -> ReadableLine:
    newest, oldest = group[0], group[-1]
    why, reference = _use(newest.why, oldest.why) if _session(newest) else _deposit(newest.why)
    return ReadableLine(
        at_ms=newest.at_ms,
        what=KINDS.get(newest.kind, newest.kind.replace("_", " ").capitalize()),
        gpu_ms=sum(line.gpu_ms for line in group),
        balance_after_gpu_ms=newest.balance_after_gpu_ms,
        why=why,
        reference=reference,
    )


def _use(newest: dict[str, Any], oldest: dict[str, Any]) -> tuple[str, str]:
    seconds = (int(newest.get("to_ms", 0)) - int(oldest.get("from_ms", 0))) // 1000
    profile = PROFILES.get(str(newest.get("profile")))
    gpus = int(newest.get("gpus", 0))
    size = f"{profile.title}, " if profile else ""
    length = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{size}{gpus} GPU{'s' if gpus != 1 else ''} for {length}", str(newest["session"])[:8]


def _deposit(why: dict[str, Any]) -> tuple[str, str]:
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
        parts.append(f"as quoted ({str(why['quote'].get('id', ''))[:8]})")
    tx = str(why.get("tx_hash", ""))
    return " ".join(parts) or str(why.get("why", "")), f"{tx[:10]}…{tx[-6:]}" if tx else ""
