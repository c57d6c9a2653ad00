"""One node's view of the money in a block, and what two such views come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.services.ports import BlockMoney, Payment

NOTHING = BlockMoney([])


@dataclass(frozen=True)
class Found:
    """Money, and what the node could not show.

    `untraced`: calls moved ETH, and their tree could not be had; `blind`: it is not known whether they did.
    """

    money: BlockMoney
    untraced: bool = False
    blind: bool = False


def same_money(one: Sequence[Found], other: Sequence[Found]) -> list[Found] | None:
    """The fuller of two nodes' views where they do not contradict each other, else None.

    A node that cannot trace, or keeps no state, contradicts nobody by not showing what calls moved.
    """
    found = [_fuller(a, b) for a, b in zip(one, other, strict=True)]
    return None if None in found else [view for view in found if view is not None]


def _fuller(one: Found, other: Found) -> Found | None:
    if one.money == other.money:
        return one
    better, worse = sorted((one, other), key=lambda view: (view.blind, view.untraced))
    if not (worse.blind or worse.untraced) or _plain(one.money) != _plain(other.money):
        return None
    if worse.blind or better.blind:
        return better
    return better if _moved(better.money) == _moved(worse.money) else None


def _plain(money: BlockMoney) -> list[Payment]:
    """What needs no tracing."""
    return [p for p in money.payments if not p.position.startswith("eth:0.")]


def _moved(money: BlockMoney) -> int:
    """ETH that came through contracts, explained or not."""
    inner = sum(p.amount for p in money.payments if p.position.startswith("eth:0."))
    return inner + money.unexplained_wei
