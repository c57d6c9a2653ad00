"""What a deposit is worth when the nodes no longer know its block: tier 0 first, the rest as a top-up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deposit_kit import HOUR, has, sound, state, watch
from fakes import ALICE, ETHER, FakeChain, make_deps, make_settings, payment

from controller.errors import (
    StateForgotten,
)
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger

pytestmark = pytest.mark.integration

MINIMUM = ETHER // 2_000  # 0.0005 ETH, a dollar at 2000 USD
TX = FakeChain.hash_of("tx")


class Forgetful(FakeChain):
    """Its nodes keep the state of the newest blocks only, until there is an archive."""

    keeps = 128
    archive = False

    def _forgot(self, block_hash: str) -> None:
        number = next(b.number for b in self.blocks if b.hash == block_hash)
        if not self.archive and number <= self.blocks[-1].number - self.keeps:
            raise StateForgotten

    def eth_usd(self, block_hash):
        self._forgot(block_hash)
        return super().eth_usd(block_hash)

    def axgt_balance(self, wallet, block_hash=None):
        self._forgot(block_hash or self.blocks[-1].hash)
        return super().axgt_balance(wallet, block_hash)


def test_state_that_the_nodes_dropped_brings_tier_0_and_a_top_up_once_it_can_be_read(database):
    chain = Forgetful()
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["price"]["block_number"], why["price"]["read_from"]) == (1, "rounds")
    assert (why["discount_bps"], list(why["holding"])) == (0, ["unknown"])
    chain.archive = True
    watch(deps)
    assert has(deps) == HOUR  # a node without archive is not asked at every step
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    first, second = ledger.statement(deps, ALICE, 9)
    assert (first.kind, first.gpu_ms, first.why["holding"]["tier"]) == ("top-up", HOUR // 3, 4)
    assert (second.kind, second.gpu_ms) == ("deposit", HOUR)
    assert deposits.list_deposits(deps, ALICE)[0].credited_gpu_ms == 4_800_000
    assert watch(deps) == 0
    sound(deps)


def test_a_deposit_of_the_holders_minimum_whose_tier_is_unknown_waits_for_it(database):
    chain = Forgetful()
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM * 3 // 4)])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "below_min")
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    sound(deps)


def test_a_top_up_stays_below_the_cap_until_its_block_is_final(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 70}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "credited")
    chain.finalized = 1
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (4_800_000, "final")
    sound(deps)


def test_halves_that_reach_the_holders_minimum_stay_below_the_cap_too(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 59}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM * 3 // 4)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "below_min")
    chain.finalized = 1
    deps.clock.advance(60_000)
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "final")
    sound(deps)


def test_a_top_up_counts_in_the_cap_of_the_next_deposit(database):
    chain = Forgetful()
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 130}))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    chain.holdings[ALICE] = 0
    chain.mine(6, [payment(amount=MINIMUM, tx="next")])
    watch(deps)
    assert (has(deps), state(deps, "next")) == (4_800_000, "confirming")  # 80 and 60 are above 130
    sound(deps)


class Flattering(Forgetful):
    """Its first node says of the holdings what nobody else does."""

    def agreeing(self):
        others = replace(self, holdings={})
        others.archive = self.archive
        return others


def test_the_tier_of_a_large_top_up_is_not_one_nodes_word(database):
    chain = Flattering()
    nodes = {"agreement_above_gpu_minutes": 60, "rpc_urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
    deps = make_deps(database, chain, settings=make_settings(chain=nodes))
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(250, [payment(amount=2 * MINIMUM)])
    watch(deps)
    assert has(deps) == 2 * HOUR
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 2 * HOUR
    sound(deps)


def test_a_topped_up_deposit_that_is_dropped_is_taken_back_whole(database):
    chain = Forgetful()
    chain.keeps = 4
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(3)
    chain.mine(20, [payment(amount=MINIMUM)])
    watch(deps)
    chain.archive = True
    deps.clock.advance(60_000)
    watch(deps)
    assert has(deps) == 4_800_000
    chain.reorg(20)
    chain.mine(30)
    watch(deps)
    assert (has(deps), state(deps)) == (0, "reversed")
    sound(deps)


def test_what_was_noted_when_first_seen_counts_after_the_state_is_dropped(database):
    chain = Forgetful()
    chain.keeps = 4
    deps = make_deps(database, chain)
    chain.holdings[ALICE] = 100_000 * ETHER
    chain.mine(1, [payment(amount=MINIMUM)])
    watch(deps)
    chain.mine(20)
    watch(deps)
    assert (has(deps), state(deps)) == (4_800_000, "credited")
    why = ledger.statement(deps, ALICE, 1)[0].why
    assert (why["holding"]["tier"], why["price"]["read_from"]) == (4, "state")
    sound(deps)
