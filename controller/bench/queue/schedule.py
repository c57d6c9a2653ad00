"""What happened in a simulation: every start, promise, reason and end."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.domain.planner import Reserved


@dataclass(slots=True)
class Stay:
    """One session. `guaranteed_until_ms` is what was told before its start; None for the whole balance."""

    claim: str
    gpus: tuple[str, ...]
    host: str
    asked_ms: int
    start_ms: int
    guaranteed_until_ms: int | None
    end_ms: int | None = None
    cut_for: str | None = None


@dataclass(slots=True)
class Promise:
    """A promise and when it was given."""

    given_ms: int
    latest_ms: int


@dataclass(slots=True)
class Reason:
    """Why a claim was not started on enough free GPUs of a host during a while."""

    claim: str
    host: str
    kind: str
    claims: tuple[str, ...]
    from_ms: int
    to_ms: int


@dataclass
class Schedule:
    """The record of one simulation. Reasons are kept only where asked for."""

    keep_reasons: bool = False
    stays: dict[str, Stay] = field(default_factory=dict)
    promises: dict[str, Promise] = field(default_factory=dict)
    promises_moved: int = 0
    reasons: list[Reason] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    _open: dict[tuple[str, str], Reason] = field(default_factory=dict)

    def promised(self, claim: str, now: int, latest: int) -> None:
        """A claim was promised to start by `latest`; one that had a promise already counts as moved."""
        if claim in self.promises:
            self.promises_moved += 1
        self.promises[claim] = Promise(now, latest)

    def reserved(self, now: int, reserved: dict[str, tuple[Reserved, ...]]) -> None:
        """The reasons of this instant; those that have changed end here."""
        if not self.keep_reasons:
            return
        current = {(claim, one.host): one for claim, some in reserved.items() for one in some}
        for key in [k for k, r in self._open.items() if not _same(current.get(k), r)]:
            reason = self._open.pop(key)
            reason.to_ms = now
            if reason.to_ms > reason.from_ms:
                self.reasons.append(reason)
        for (claim, host), one in current.items():
            if (claim, host) not in self._open:
                self._open[claim, host] = Reason(claim, host, one.kind, one.claims, now, now)


def _same(now: Reserved | None, before: Reason) -> bool:
    return now is not None and (now.kind, now.claims) == (before.kind, before.claims)
