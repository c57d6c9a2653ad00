"""How a story becomes cases: one for each asset that it makes sense for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deposits.scene import Case, Mode, Play
from deposits.stage import AXGT_MINIMUM, ETH_MINIMUM, USDC_MINIMUM

MODES: tuple[Mode, ...] = ("watcher", "hint", "race")
MINIMUM = {"eth": ETH_MINIMUM, "usdc": USDC_MINIMUM, "axgt": AXGT_MINIMUM}
# Holders' minimum is lower; these payers hold no AXGT, so the asset's own applies.
PAYER = {"eth": "alice", "usdc": "alice", "axgt": "whale"}
ALL = ("eth", "usdc", "axgt")

Teller = Callable[[Play, str], Iterator[str]]
CASES: dict[str, Case] = {}


def case(
    *assets: str, modes: Sequence[Mode] = MODES, name: str | None = None, **rest: Any
) -> Callable[[Teller], Teller]:
    """Make cases of a story.

    Args:
        assets: each a case of its own; none: one case without an asset.
        modes: who looks for the money; the seeds take them in turn.
        name: instead of the function's.
        rest: fields of `Case`; numbers among them are what the oracle must count at the end.
    """
    counts = {"credited": 0, "suspense": 0, "below": 0, "waiting": 0}
    expect = {**counts, **{k: rest.pop(k) for k in list(rest) if k in counts}}

    def made(story: Teller) -> Teller:
        for asset in assets or ("",):
            known = "/".join(w for w in ((name or story.__name__).replace("_", "-"), asset) if w)

            def told(play: Play, asset: str = asset) -> Iterator[str]:
                return story(play, asset)

            assert known not in CASES, known
            CASES[known] = Case(known, told, tuple(modes), expect, **rest)
        return story

    return made
