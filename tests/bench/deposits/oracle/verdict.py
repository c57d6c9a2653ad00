"""What was found, and what has to become of a payment."""

from __future__ import annotations

from dataclasses import dataclass, field

from deposits.oracle.money import Fact


@dataclass
class Verdict:
    """What was found. `lost`, `doubled` and `wrong` hold a sentence for each finding."""

    credited: int = 0
    suspense: int = 0
    below: int = 0
    waiting: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    drift: dict[str, int] = field(default_factory=dict)

    @property
    def drift_wei(self) -> int:
        return sum(abs(d) for d in self.drift.values())

    @property
    def findings(self) -> list[str]:
        drifts = [f"drift of {d} in {asset}" for asset, d in self.drift.items() if d]
        return [*self.lost, *self.doubled, *self.wrong, *drifts]


@dataclass(frozen=True)
class Due:
    """What has to become of a payment: `credit` with its worth, `suspense`, `price`, `own` or `confirm`.

    `own` moves between our own wallets; `confirm` is too new for anything.
    """

    fact: Fact
    fate: str
    gpu_ms: int = 0
    minimum: int = 0


def told(due: Due) -> str:
    fact = due.fact
    return f"{fact.amount} {fact.asset} of {fact.payer[:8]} in {fact.tx_hash[:10]} {fact.position or 'eth:*'}"
