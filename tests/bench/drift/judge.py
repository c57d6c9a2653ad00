"""Injects a batch of drift, checks, repairs, checks again, and counts. Pure but for what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from drift.kinds import Kind, Place


@dataclass
class Verdict:
    """What was injected and what became of it; `stray` is what was named or changed for no reason."""

    injected: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Each thing that is not as it should be, in words."""
        return [
            *(f"not named: {kind}" for kind in self.injected if kind not in self.named),
            *(f"not repaired: {kind}" for kind in self.injected if kind not in self.repaired),
            *(f"stray: {thing}" for thing in self.stray),
        ]


def try_batch(
    kinds: Sequence[Kind],
    place: Place,
    verdict: Verdict,
    *,
    shell: Callable[[str], bool],
    converge: Callable[[bool], Sequence[str]],
) -> None:
    """One batch on a host that is as it should be.

    Args:
        kinds: injected together.
        place: where the instance lies.
        verdict: what is found is added here.
        shell: runs a line on the host; whether it ended well.
        converge: `converge(check)` looks or repairs; the things it named.
    """
    words = place.words
    before = list(converge(True))
    verdict.stray += [f"before anything was changed: {thing}" for thing in before]
    for kind in kinds:
        assert shell(kind.inject.format(**words)), f"{kind.name} could not be injected"
    seen = list(converge(True))
    changed = list(converge(False))
    after = list(converge(True))
    for kind in kinds:
        verdict.injected.append(kind.name)
        told = kind.named.format(**words)
        if any(told in thing for thing in seen):
            verdict.named.append(kind.name)
        if shell(kind.repaired.format(**words)):
            verdict.repaired.append(kind.name)
    verdict.stray += _strays("named", seen, kinds, words)
    verdict.stray += _strays("changed", changed, kinds, words)
    verdict.stray += [f"still named after the repair: {thing}" for thing in after]


def _strays(what: str, things: Iterable[str], kinds: Sequence[Kind], words: dict[str, str]) -> list[str]:
    expected = [text.format(**words) for kind in kinds for text in (kind.named, *kind.follows)]
    return [f"{what}: {thing}" for thing in things if not any(text in thing for text in expected)]
