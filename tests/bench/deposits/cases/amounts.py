"""Below the minimum, at it, and in halves: recorded always, credited when the sum reaches it."""

from __future__ import annotations

from collections.abc import Iterator

from deposits.cases.registry import ALL, MINIMUM, PAYER, case
from deposits.scene import Play


@case(*ALL, below=1)
def below_the_minimum(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset] * 3 // 4 - 1)
    yield from p.mine(6)


@case("eth", "usdc", below=1)
def one_unit_short(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset] - 1)
    yield from p.mine(6)


@case("eth", below=1)
def a_single_wei(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, 1)
    yield from p.mine(6)


@case(*ALL, credited=2)
def two_halves(p: Play, asset: str) -> Iterator[str]:
    payer, half = PAYER[asset], MINIMUM[asset] // 2
    yield "pay"
    p.give(f"{payer}/1", payer, asset, half)
    yield from p.mine(2)
    yield "pay"
    p.give(f"{payer}/2", payer, asset, MINIMUM[asset] - half)
    yield from p.mine(6)


@case("eth", "usdc", credited=2)
def two_halves_in_one_block(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset] // 2)
    p.give("alice/2", "alice", asset, MINIMUM[asset] - MINIMUM[asset] // 2)
    yield from p.mine(6)


@case("eth", "usdc", below=2)
def halves_of_two_wallets(p: Play, asset: str) -> Iterator[str]:
    """They are two people's money: neither reaches the minimum."""
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset] * 2 // 3)
    p.give("carol/1", "carol", asset, MINIMUM[asset] * 2 // 3)
    yield from p.mine(6)


@case(below=2)
def halves_of_two_assets(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", "eth", MINIMUM["eth"] * 2 // 3)
    p.give("alice/2", "alice", "usdc", MINIMUM["usdc"] * 2 // 3)
    yield from p.mine(6)


@case("eth", "usdc", credited=3, below=1)
def dust_before_and_after(p: Play, asset: str) -> Iterator[str]:
    """Dust rides along with the payment that reaches the minimum; what comes later waits for the next one."""
    for number, part in enumerate((4, 5, 1)):
        yield "pay"
        p.give(f"alice/{number}", "alice", asset, MINIMUM[asset] // part)
        yield from p.mine(1)
    yield from p.mine(5)
    yield from p.watched()
    yield "pay"
    p.give("alice/9", "alice", asset, MINIMUM[asset] // 3)
    yield from p.mine(6)
