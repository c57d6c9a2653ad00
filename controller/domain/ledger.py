"""Rules of the journal: account codes, their units and floors, keys, and the hash link of a batch.

Source: payments.md section 3 (double entry, one unit per account, append-only). Pure; no database here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

GPU_MS = "gpu_ms"
FIRST_LINK = "0" * 64
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode  # ASCII only, as by default
_STRING = json.encoder.encode_basestring_ascii


@dataclass(frozen=True)
class Posting:
    """A transfer to make: `amount` moves from account `debit` to account `credit`, once per `key`, for ever.

    `may_overdraw` lets a reversed deposit (or storage debt) take a user's account below zero.
    """

    key: str
    kind: str
    debit: str
    credit: str
    amount: int
    evidence: dict[str, Any] = field(default_factory=dict)
    may_overdraw: bool = False

    @cached_property
    def evidence_json(self) -> str:
        """The evidence as the hash link has it: keys in order, no spaces, ASCII."""
        return _CANONICAL(self.evidence)


def user_account(wallet: str) -> str:
    """The account of a wallet's credit; the address as lower-case hex."""
    return f"user:{wallet.lower()}"


def unit_of(code: str) -> str:
    """The unit an account counts in: GPU-milliseconds, or the smallest unit of one chain's asset.

    Raises:
        ValueError: the code is none of ours.
    """
    family, _, rest = code.partition(":")
    if family in {"user", "issued", "used"} and rest:
        return GPU_MS
    if family in {"chain", "received", "suspense", "returned"} and rest.count(":") == 1:
        return rest
    raise ValueError(f"unknown account {code!r}")


def is_user(code: str) -> bool:
    """Whether the account is a wallet's credit, the only kind with a floor at zero."""
    return code.startswith("user:")


def use_key(session_id: str, from_ms: int) -> str:
    """Key of the charge for the stretch of a session that begins at `from_ms`."""
    return f"use:{session_id}:{from_ms}"


def storage_key(wallet: str, from_ms: int) -> str:
    """Key of the charge for the stretch of a wallet's home that begins at `from_ms`."""
    return f"storage:{wallet.lower()}:{from_ms}"


def deposit_key(chain_id: int, tx_hash: str, position: str, generation: int = 1) -> str:
    """Key of a deposit's credit. A deposit mined again after its reversal is a new generation."""
    key = f"dep:{chain_id}:{tx_hash}:{position}"
    return key if generation == 1 else f"{key}:{generation}"


def link(prev_hash: str, at_ms: int, postings: Iterable[Posting]) -> str:
    """The hash of a batch: SHA-256 over the previous hash, the instant and its postings, ordered by key."""
    digest = hashlib.sha256(f"{prev_hash}\n{at_ms}\n".encode())
    for p in sorted(postings, key=lambda p: p.key):
        names = ",".join(map(_STRING, (p.key, p.kind, p.debit, p.credit, str(p.amount))))
        digest.update(f"[{names},{p.evidence_json}]\n".encode())
    return digest.hexdigest()


def conflict(one: Posting, other: Posting) -> bool:
    """Whether two postings of one key say different things; evidence may differ, the money may not."""
    facts = [(p.kind, p.debit, p.credit, p.amount) for p in (one, other)]
    return facts[0] != facts[1]
