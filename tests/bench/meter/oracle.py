"""What every session must have cost, from what really happened; and the books, by raw SQL. Imports no product.

The rules, in the product's own words: wall clock times GPUs, from ready to the earliest of the End click, a close
beacon nobody took back within 45 s, three unwatched minutes, the last proof of life; nothing beyond the balance.
A host that was not heard for the 15 minutes of a lease has stopped its desktops, and their sessions end.
Grace begins at the very instant the balance is used up and lasts two hours, once for each deposit.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

RECONNECT_MS, ABSENCE_MS, GRACE_MS, MINUTE, IN_FLIGHT_MS = 45_000, 180_000, 7_200_000, 60_000, 2_000
NEVER = 1 << 62
RANK = {"proof": 1, "missing": 2, "look": 3, "lost": 4, "stopped": 5}


@dataclass
class Happened:
    """One session as the world saw it: `events` are (instant, verb, amount), in order of time."""

    session: str
    wallet: str
    gpus: int
    ready_ms: int
    balance_gpu_ms: int
    events: list[tuple[int, str, int]] = field(default_factory=list)


@dataclass
class Truth:
    """A session followed through its day, in integers."""

    told: Happened
    mode: str = "run"
    used_ms: int = 0
    grace_ms: int = 0
    mark: int = 0
    balance: int = 0
    proof: int = 0
    detached: bool = False
    seen: int = 0
    closed: int = NEVER
    limit: int = NEVER
    grace_until: int = NEVER
    paid_since_grace: bool = True

    def __post_init__(self) -> None:
        self.mark = self.proof = self.seen = self.told.ready_ms
        self.balance = self.told.balance_gpu_ms

    def follow(self) -> Truth:
        for at, verb, amount in self.told.events:
            getattr(self, f"_{verb}")(at, amount)
        self._bill()
        return self

    @property
    def empty(self) -> int:
        return self.mark + max(self.balance, 0) // self.told.gpus

    def _bill(self) -> None:
        to = min(self.proof, self.limit, self.closed, self.empty)
        if self.mode in ("run", "ending") and to > self.mark:
            self.used_ms += to - self.mark
            self.balance -= (to - self.mark) * self.told.gpus
            self.mark = to

    def _free(self, to: int) -> None:
        if to > self.mark:
            self.grace_ms += to - self.mark
            self.mark = to

    def _over(self, at: int) -> None:
        if self.mode == "grace":
            self._free(at)
        self.limit, self.mode = min(at, self.limit, self.closed), "ending"

    def _proof(self, at: int, _amount: int) -> None:
        self.proof = max(self.proof, at)

    def _look(self, at: int, _amount: int) -> None:
        away = NEVER if self.detached else self.seen + ABSENCE_MS
        if self.mode == "run" and self.empty <= min(self.proof, self.closed, away):
            self._bill()
            if self.paid_since_grace:
                self.mode, self.grace_until, self.paid_since_grace = "grace", self.mark + GRACE_MS, False
            else:
                self._over(self.mark)
        elif self.mode == "grace" and self.balance >= self.told.gpus * MINUTE:
            self._free(at)
            self.mode, self.grace_until = "run", NEVER
        self._due(at)

    def _due(self, at: int) -> None:
        if self.mode not in ("run", "grace"):
            return
        if self.closed + RECONNECT_MS <= at:
            self._over(self.closed)
        elif self.grace_until <= at:
            self._over(self.grace_until)
        elif not self.detached and self.seen + ABSENCE_MS <= at:
            self._over(self.seen + ABSENCE_MS)

    def _credit(self, at: int, amount: int) -> None:
        self.paid_since_grace = True
        self._gift(at, amount)

    def _gift(self, at: int, amount: int) -> None:
        self.balance += amount
        if self.mode == "grace":
            self._look(at, 0)

    def _attach(self, at: int, _amount: int) -> None:
        if self.mode in ("run", "grace"):
            self.detached, self.closed, self.seen = False, NEVER, at

    def _detach(self, _at: int, _amount: int) -> None:
        if self.mode in ("run", "grace"):
            self.detached, self.closed = True, NEVER

    def _beat(self, at: int, _amount: int) -> None:
        if self.mode in ("run", "grace"):
            self.seen = max(self.seen, at)
            if at - self.closed > IN_FLIGHT_MS:
                self.closed = NEVER

    def _close(self, at: int, _amount: int) -> None:
        if self.mode in ("run", "grace") and not self.detached and self.closed == NEVER:
            self.closed = at

    def _end(self, at: int, _amount: int) -> None:
        if self.mode in ("run", "grace"):
            self._over(at)

    def _missing(self, at: int, _amount: int) -> None:
        if self.mode == "grace":  # a lease ends with it
            self._due(at)
        self._lost(at, 0)

    def _lost(self, _at: int, _amount: int) -> None:
        if self.mode in ("run", "grace"):
            self._over(self.proof)

    def _stopped(self, at: int, alive: int) -> None:
        if alive:
            self.proof = max(self.proof, at)
        self._bill()
        if self.mode == "ending" and self.limit != NEVER:
            self._free(min(self.proof, self.limit))
        self.mode = "ended"


def merged(told: Happened, proofs: list[int], looks: list[int], alive_until: int) -> Happened:
    """A session's own events with its host's proofs of life and the platform's looks at clocks."""
    begin = bisect_left(proofs, told.ready_ms)
    shared = [(at, "proof", 0) for at in proofs[begin:] if at < alive_until]
    shared += [(at, "look", 0) for at in looks if at >= told.ready_ms]
    # At one instant people act first, then hosts report, then clocks and leases are looked at, then stops come through.
    return Happened(
        told.session,
        told.wallet,
        told.gpus,
        told.ready_ms,
        told.balance_gpu_ms,
        sorted(told.events + shared, key=lambda event: (event[0], RANK.get(event[1], 0))),
    )


@dataclass
class Verdict:
    """How far the books are from the truth; `findings` names each difference, the first hundred of them."""

    error_gpu_ms: int = 0
    grace_error_ms: int = 0
    used_gpu_ms: int = 0
    findings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if len(self.findings) < 100:
            self.findings.append(text)


def judge(truths: Iterable[Truth], connection: psycopg.Connection[Any]) -> Verdict:
    """Compare every session's bill, window by window, with the truth; then the books with themselves."""
    verdict = Verdict()
    windows: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(
        "SELECT session_id, from_ms, to_ms, gpus, kind, transfer_key FROM usage_window ORDER BY session_id, from_ms"
    ):
        windows[row[0]].append(row)
    paid = dict(
        connection.execute(
            "SELECT t.key, t.amount FROM transfer t JOIN account c ON c.id = t.credit_id WHERE c.code = 'used:compute'"
        ).fetchall()
    )
    balances = dict(connection.execute("SELECT code, credits - debits FROM account").fetchall())
    for truth in truths:
        _bill_of(truth, windows.pop(truth.told.session, []), paid, balances, verdict)
    for key in [*windows, *paid]:
        verdict.error_gpu_ms += int(paid.get(key, 1))
        verdict.note(f"{key}: charged, and nobody used it")
    _books(connection, verdict)
    return verdict


def _bill_of(
    truth: Truth, windows: list[Any], paid: dict[str, Any], balances: dict[str, Any], verdict: Verdict
) -> None:
    told, mark, charged = truth.told, truth.told.ready_ms, 0
    for _, begin, end, gpus, kind, key in windows:
        if begin != mark or gpus != told.gpus:
            verdict.note(f"{told.session}: a window begins at {begin}, the one before ended at {mark}")
            verdict.error_gpu_ms += abs(begin - mark) * told.gpus
        mark = end
        amount = int(paid.pop(key, 0)) if key else 0
        if amount != ((end - begin) * gpus if kind == "used" else 0):
            verdict.note(f"{told.session}: {kind} [{begin}, {end}) was charged {amount}")
            verdict.error_gpu_ms += abs(amount - (end - begin) * gpus)
        charged += amount
    used = truth.used_ms * told.gpus
    free = sum(end - begin for _, begin, end, _, kind, _ in windows if kind == "grace")
    verdict.used_gpu_ms += used
    if charged != used or int(balances.get(f"user:{told.wallet}", 0)) != truth.balance:
        verdict.error_gpu_ms += max(abs(charged - used), 1)
        verdict.note(f"{told.session}: charged {charged}, used {used} GPU-ms; ended as {truth.mode}")
    if free != truth.grace_ms:
        verdict.grace_error_ms += abs(free - truth.grace_ms)
        verdict.note(f"{told.session}: {free} ms of grace written down, {truth.grace_ms} in truth")


def _books(connection: psycopg.Connection[Any], verdict: Verdict) -> None:
    """Sums and the chain of batches, from the rows alone."""
    off = connection.execute(
        """SELECT a.code, a.credits - a.debits - coalesce(sum(
               CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END), 0)
           FROM account a LEFT JOIN transfer t ON a.id IN (t.credit_id, t.debit_id) GROUP BY a.id
           HAVING a.credits - a.debits <> coalesce(sum(
               CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END), 0)"""
    ).fetchall()
    for code, difference in off:
        verdict.error_gpu_ms += abs(int(difference))
        verdict.note(f"{code}: the account and its transfers differ by {difference}")
    before = None
    for prev, own in connection.execute("SELECT prev_hash, hash FROM journal_batch ORDER BY id"):
        if before not in (None, prev) or len(own) != len(hashlib.sha256().hexdigest()):
            verdict.error_gpu_ms += 1
            verdict.note(f"batch {own}: its link leads nowhere")
        before = own
