"""The words by which a payer gives one deposit to somebody else: EIP-712 `AssignDeposit`, checked for sense.

The domain names the chain and the revenue wallet that was paid, so that no other chain and no other platform
can use the signature. Source: payments.md 2.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from controller.domain.deposits import NOBODY

LONGEST_S = 30 * 86_400
LARGEST_NONCE = 2**256 - 1
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_POSITION = re.compile(r"(log:[0-9]{1,6}|eth:[0-9.]{1,120})")
_DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
_FIELDS = [
    {"name": "chainId", "type": "uint256"},
    {"name": "txHash", "type": "bytes32"},
    {"name": "eventIndex", "type": "string"},
    {"name": "beneficiary", "type": "address"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


@dataclass(frozen=True)
class Assignment:
    """One deposit and its new owner. `event_index` is the event's position; `deadline_s` since the epoch."""

    chain_id: int
    tx_hash: str
    event_index: str
    beneficiary: str
    nonce: int
    deadline_s: int


def problem(asked: Assignment) -> str | None:
    """Why an assignment makes no sense; None when it does. Hash and address are in lower case."""
    if not _ADDRESS.fullmatch(asked.beneficiary) or asked.beneficiary == NOBODY:
        return "the beneficiary is no wallet"
    if not _POSITION.fullmatch(asked.event_index):
        return "the event's index is `log:` or `eth:` and its place"
    return None if 0 <= asked.nonce <= LARGEST_NONCE else "the nonce has at most 256 bits"


def untimely(asked: Assignment, now_s: int) -> str | None:
    """Why an assignment cannot be made now (seconds since the epoch); None when it can."""
    if asked.deadline_s < now_s:
        return "its deadline is over"
    return "its deadline is more than 30 days away" if asked.deadline_s > now_s + LONGEST_S else None


def words(asked: Assignment, recipient: str) -> dict[str, Any]:
    """What the payer signs, as `eth_signTypedData_v4` takes it.

    Args:
        asked: the assignment.
        recipient: the revenue wallet that the deposit was paid to.
    """
    return {
        "types": {"EIP712Domain": _DOMAIN, "AssignDeposit": _FIELDS},
        "primaryType": "AssignDeposit",
        "domain": {
            "name": "AxonOS",
            "version": "1",
            "chainId": asked.chain_id,
            "verifyingContract": recipient,
        },
        "message": {
            "chainId": asked.chain_id,
            "txHash": asked.tx_hash,
            "eventIndex": asked.event_index,
            "beneficiary": asked.beneficiary,
            "nonce": str(asked.nonce),
            "deadline": asked.deadline_s,
        },
    }


def movable(credited_gpu_ms: int, available_gpu_ms: int, provisional_gpu_ms: int) -> int:
    """How much of a credited deposit can still be given away.

    Minutes are alike, so what is left of one deposit is what is left of the balance, at most what it
    brought. Credit of deposits that are not final does not count: it may be taken back, and what was given
    away would be out of reach.

    Args:
        credited_gpu_ms: what the deposit brought.
        available_gpu_ms: the payer's balance less what is held for a session.
        provisional_gpu_ms: what the payer has from deposits that are not final.
    """
    return max(0, min(credited_gpu_ms, available_gpu_ms - provisional_gpu_ms))
