"""Several chains, the bounds of provisional credit, and nodes that must agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deposit_kit import BASE, BASE_ID, HOUR, MINIMUM, alerts_of, has, sound, state, tokens, usdc, watch
from fakes import ALICE, BOB, FakeChain, make_deps, make_settings, payment

from controller.services.deposits import of_wallet as deposits

pytestmark = pytest.mark.integration


# --- several chains ---


@pytest.fixture
def two_chains(database, chain):
    base = FakeChain(name="base")
    settings = make_settings(further_chains=[BASE], usdc={"chain_id": BASE_ID})
    return make_deps(database, chain, settings=settings, further={BASE_ID: base}), chain, base


def test_each_chain_is_watched_by_itself(two_chains):
    deps, home, base = two_chains
    home.mine(6, [payment(amount=MINIMUM)])
    base.mine(6, [usdc(2_000_000, BOB)])
    base.down = True
    watch(deps)
    assert (has(deps), has(deps, BOB)) == (HOUR, 0)
    base.down, home.down = False, True
    watch(deps, BASE_ID)
    assert has(deps, BOB) == 2 * HOUR
    (view,) = deposits.list_deposits(deps, BOB)
    assert (view.chain_id, view.chain_name, view.asset) == (BASE_ID, "Base", "usdc")
    assert (tokens(deps, "received:8453:usdc"), tokens(deps, "received:84532:eth")) == (2_000_000, MINIMUM)
    sound(deps)


def test_an_asset_on_the_wrong_chain_is_kept_and_says_where_it_is(two_chains):
    deps, home, base = two_chains
    home.mine(6, [usdc(tx="usdc at home")])
    base.mine(6, [payment(tx="eth on base")])
    watch(deps)
    watch(deps, BASE_ID)
    said = {view.asset: view.message for view in deposits.list_deposits(deps, ALICE)}
    assert "1 USDC on test chain, where it is not accepted" in said["usdc"]
    assert "1 ETH on Base, where it is not accepted" in said["eth"]
    assert (has(deps), tokens(deps, "suspense:84532:usdc")) == (0, 1_000_000)
    sound(deps)


def test_a_reorganisation_of_one_chain_leaves_the_other_alone(two_chains):
    deps, home, base = two_chains
    home.mine(6, [payment(amount=MINIMUM)])
    base.mine(6, [usdc(tx="tx on base")])
    for chain_id in (None, BASE_ID):
        watch(deps, chain_id)
    home.reorg(6)
    home.mine(7)
    watch(deps)
    assert (has(deps), state(deps), state(deps, "tx on base")) == (HOUR, "reversed", "credited")
    sound(deps)


# --- bounds of provisional credit, and agreement of nodes ---


def test_provisional_credit_is_capped_until_blocks_are_final(database, chain):
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 100}))
    chain.mine(1, [payment(amount=MINIMUM), payment(BOB, MINIMUM, tx="bob")])
    chain.mine(6, [payment(amount=MINIMUM, tx="second")])
    watch(deps)
    assert (has(deps), state(deps, "second"), has(deps, BOB)) == (HOUR, "confirming", HOUR)
    message = deposits.list_deposits(deps, ALICE)[0].message
    assert message == (
        "Confirmed 0.0005 ETH, not credited yet "
        "(more than 100 minutes that are not final yet: it is credited once its block is final)."
    )
    assert watch(deps) == 0
    sound(deps)
    chain.finalized = 1  # the first is final, so there is room for the second
    deps.clock.advance(5_000)
    watch(deps)
    assert (has(deps), state(deps), state(deps, "second")) == (2 * HOUR, "final", "credited")
    sound(deps)


def test_a_deposit_above_the_cap_is_credited_when_it_is_final(database, chain):
    deps = make_deps(database, chain, settings=make_settings(chain={"provisional_cap_minutes": 59}))
    chain.mine(9, [payment(amount=MINIMUM)])
    watch(deps)
    assert (has(deps), state(deps)) == (0, "confirming")
    chain.reorg(9)
    chain.mine(12, [payment(amount=MINIMUM)])
    chain.finalized = 1
    watch(deps)
    assert (has(deps), state(deps)) == (HOUR, "final")
    sound(deps)


AGREEMENT = {"agreement_above_gpu_minutes": 60, "rpc_urls": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}


def test_a_large_credit_waits_until_two_nodes_agree(database, chain):
    deps = make_deps(database, chain, settings=make_settings(chain=AGREEMENT))
    chain.disagreeing = True
    chain.mine(6, [payment(amount=MINIMUM), payment(BOB, 2 * MINIMUM, tx="bob")])
    watch(deps)
    assert (has(deps), has(deps, BOB), state(deps, "bob")) == (HOUR, 0, "confirming")
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject) == ("nodes-disagree", f"{FakeChain.hash_of('bob')} eth:0")
    assert alert.why in deposits.list_deposits(deps, BOB)[0].message
    chain.disagreeing = False
    deps.clock.advance(5_000)
    watch(deps)
    assert (has(deps, BOB), alerts_of(deps)) == (2 * HOUR, [])
    sound(deps)


class Liar(FakeChain):
    """Its first node tells of a payment and a price that the others do not know."""

    def agreeing(self):
        honest = FakeChain(blocks=self.blocks, holdings={}, payments={})
        honest.payments = {
            block: [replace(p, amount=p.amount // 2) for p in paid] for block, paid in self.payments.items()
        }
        return honest


def test_a_node_that_lies_about_an_amount_is_not_believed(database):
    chain = Liar()
    deps = make_deps(database, chain, settings=make_settings(chain=AGREEMENT))
    chain.mine(6, [payment()])
    watch(deps)
    assert (has(deps), state(deps), alerts_of(deps)[0].kind) == (0, "confirming", "nodes-disagree")


def test_a_price_that_was_noted_from_one_node_gives_way_to_that_of_two(database):
    class Dear(FakeChain):
        def agreeing(self):
            return replace(self, eth_usd_answer=2_000 * 10**8)

    chain = Dear(eth_usd_answer=4_000 * 10**8)
    deps = make_deps(database, chain, settings=make_settings(chain=AGREEMENT))
    chain.mine(6, [payment(amount=MINIMUM * 10)])
    watch(deps)
    assert has(deps) == 10 * HOUR
    sound(deps)
