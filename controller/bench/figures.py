"""What every benchmark answers with: figures, the goals they are held against, and how they were got."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Outcome:
    """One benchmark's answer. `goals` maps a figure to a comparison and a number."""

    name: str
    figures: dict[str, float]
    goals: dict[str, tuple[str, float]]
    how: str

    @property
    def ok(self) -> bool:
        """Whether every goal is reached."""
        return all(_COMPARE[sign](self.figures[key], number) for key, (sign, number) in self.goals.items())

    def as_json(self) -> dict[str, Any]:
        """The object to print."""
        return {**asdict(self), "ok": self.ok}


def p50(values: Sequence[float]) -> float:
    """The median."""
    return round(statistics.median(values), 1)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, nearest rank: the worst one of twenty."""
    return _ranked(values, 95)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile, nearest rank: the worst one of up to a hundred."""
    return _ranked(values, 99)


def _ranked(values: Sequence[float], percent: int) -> float:
    ranked = sorted(values)
    return round(ranked[max(0, -(-percent * len(ranked) // 100) - 1)], 1)
