"""Blocks that go and come: before and after the credit, at other heights, in other orders, deep, while away."""

from __future__ import annotations

from collections.abc import Iterator

from deposits.cases.registry import ALL, MINIMUM, PAYER, case
from deposits.scene import Play


@case(*ALL)
def gone_before_the_credit(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset])
    yield from p.mine(3)
    yield "reorg"
    p.chain.reorg(3)
    yield from p.mine(4)


@case(*ALL)
def gone_after_the_credit(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset])
    yield from p.mine(7)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(7)
    yield from p.mine(2)


@case(*ALL, credited=1)
def mined_again_before_the_credit(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset])
    yield from p.mine(3)
    yield "reorg"
    p.chain.reorg(3, [(sent, 2)])
    yield from p.mine(5)


@case(*ALL, credited=1)
def mined_again_after_the_credit(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset])
    yield from p.mine(7)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(7, [(sent, 3)])
    yield from p.mine(3)


@case("eth", "usdc", credited=1)
def mined_again_in_a_later_block(p: Play, asset: str) -> Iterator[str]:
    """Gone, reversed, and back long after."""
    yield "pay"
    sent = p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(6)
    yield from p.mine(3)
    yield from p.watched()
    yield "again"
    p.chain.hand_in(sent.raw)
    yield from p.mine(6)


@case("eth", "usdc", credited=2)
def mined_again_in_another_order(p: Play, asset: str) -> Iterator[str]:
    """The same two transactions the other way round: their logs change places in the block."""
    yield "pay"
    first = p.give("alice/1", "alice", asset, MINIMUM[asset])
    second = p.give("carol/1", "carol", asset, 2 * MINIMUM[asset])
    yield from p.mine(6)
    yield "reorg"
    p.chain.reorg(6, [(second, 1), (first, 2)])
    yield from p.mine(2)


@case("eth", "usdc", credited=1)
def there_and_back_three_times(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)
    for at in (1, 4, 2):
        yield "reorg"
        p.chain.reorg(6, [(sent, at)])
        yield from p.mine(1)
    yield from p.mine(3)


@case("eth", "usdc")
def rolled_back_and_regrown(p: Play, asset: str) -> Iterator[str]:
    """For a while the chain is shorter than what was read of it."""
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)
    yield "rollback"
    p.chain.rollback(6)
    yield from p.mine(8)


@case("eth", modes=("watcher", "race"), credited=1)
def sixty_four_blocks_deep(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield "mine 64"
    for _ in range(64):
        p.chain.mine()
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(64, [(sent, 40)])
    yield from p.mine(1)


@case("eth", "usdc", modes=("watcher", "hint"), credited=1)
def reorganised_while_the_process_was_down(p: Play, asset: str) -> Iterator[str]:
    """Credited, then all is down; meanwhile the block goes, another payment comes."""
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)
    yield from p.watched()
    yield "all at once"
    p.chain.reorg(6)
    p.give("carol/1", "carol", asset, MINIMUM[asset])
    for _ in range(6):
        p.chain.mine()


@case("eth", "usdc", below=1)
def one_half_is_reorganised_away(p: Play, asset: str) -> Iterator[str]:
    """Two halves reached the minimum together; one of them goes, the other one waits again."""
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset] // 2)
    yield from p.mine(1)
    yield "pay"
    p.give("alice/2", "alice", asset, MINIMUM[asset] - MINIMUM[asset] // 2)
    yield from p.mine(6)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(6)
    yield from p.mine(2)
