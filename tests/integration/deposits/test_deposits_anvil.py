"""Deposits on a real chain: the reader, the watcher and the payment panel against anvil and our contracts."""

from __future__ import annotations

from contextlib import ExitStack, closing

import pytest
from chainkit import ETHER, Chain, free_port, run_chain
from fakes import make_deps, make_settings
from sqlalchemy import text

from controller.adapters.chain import Web3Chain
from controller.errors import (
    ChainUnavailable,
    DepositNotFound,
    NothingForUs,
    SettingsInvalid,
    StateForgotten,
    TransactionFailed,
    UnsupportedToken,
)
from controller.models import ChainCursor
from controller.services.deposits import of_wallet as deposits
from controller.services.deposits.watch import OTHER_CHAIN
from controller.services.money import ledger
from controller.services.money.audit_deposits import recomputed
from controller.services.pricing.rate_board import RateBoard
from controller.services.pricing.rates import rates

pytestmark = pytest.mark.integration

HOUR = 3_600_000
MINIMUM = ETHER // 2_000  # at 4000 USD an ETH this is two dollars, two hours
PRICE = 4_000 * 10**8


@pytest.fixture
def anvil():
    """A chain per test: reorganisations and hours that pass must not leak."""
    with run_chain() as chain:
        yield chain


def settings_of(anvil: Chain, **sections):
    where = anvil.deployment
    base = {
        "chain": {
            "chain_id": where.chain_id,
            "rpc_urls": [where.rpc_url],
            "genesis_hash": where.genesis_hash,
            "revenue_wallet": where.revenue_wallet,
            "start_block": where.start_block,
        },
        "eth": {"usd_feed": where.eth_usd_feed},
        "axgt": {"contract": where.axgt},
        "usdc": {"contract": where.usdc},
    }
    return make_settings(**{name: {**base.get(name, {}), **sections.get(name, {})} for name in base})


@pytest.fixture
def reader():
    """Makes chain readers, and closes them."""
    with ExitStack() as opened:
        yield lambda settings: opened.enter_context(closing(Web3Chain(settings)))


@pytest.fixture
def deps(database, anvil, reader):
    settings = settings_of(anvil)
    return make_deps(database, reader(settings), settings=settings)


def watch(deps) -> None:
    while deposits.watch_once(deps):
        pass


def has(deps, account) -> int:
    with deps.database.begin() as db:
        return ledger.balance(db, account.address).gpu_ms


def shown(deps, account) -> list[tuple[str, str]]:
    return [(v.asset, v.state) for v in deposits.list_deposits(deps, account.address)]


def tokens(deps, code: str) -> int:
    query = text("SELECT coalesce(sum(credits - debits), 0) FROM account WHERE code = :code")
    with deps.database.begin() as db:
        return int(db.execute(query, {"code": code}).scalar())


def test_eth_is_credited_at_the_sixth_confirmation_with_the_holders_discount(deps, anvil):
    plain, holder = anvil.accounts[:2]
    anvil.mint_axgt(holder.address, 100_000 * ETHER)
    anvil.pay(plain, MINIMUM)
    anvil.pay(holder, MINIMUM)
    anvil.mine(3)
    watch(deps)
    assert (has(deps, plain), has(deps, holder)) == (0, 0)
    anvil.mine(2)
    watch(deps)
    assert (has(deps, plain), has(deps, holder)) == (2 * HOUR, 2 * HOUR * 4 // 3)
    assert ledger.audit(deps) == []


def test_a_credit_can_be_recomputed_from_the_chain_alone(deps, anvil):
    holder = anvil.accounts[0]
    anvil.mint_axgt(holder.address, 1_000 * ETHER)
    tx = anvil.pay(holder, MINIMUM)
    anvil.mine(6)
    anvil.set_eth_usd(1)  # what is true now must not matter
    anvil.call(holder, anvil.axgt.functions.transfer(anvil.accounts[1].address, 1_000 * ETHER))
    watch(deps)
    (line,) = ledger.statement(deps, holder.address, 5)
    receipt = anvil.receipt(tx)
    sent = anvil.rpc("eth_getTransactionByHash", tx)
    at = int(receipt["blockNumber"], 16)
    answer = anvil.eth_usd.functions.latestRoundData().call(block_identifier=at)[1]
    held = anvil.axgt.functions.balanceOf(holder.address).call(block_identifier=at)
    assert (answer, held) == (PRICE, 1_000 * ETHER)
    assert line.gpu_ms == int(sent["value"], 16) * answer * HOUR * 10_000 // (10**18 * 10**8 * 9_000)
    assert line.gpu_ms == recomputed(line.why)
    assert line.why["block_hash"] == receipt["blockHash"]


def test_after_two_simulated_days_a_deposit_is_credited(deps, anvil):
    payer = anvil.accounts[0]
    watch(deps)
    anvil.increase_time(48 * 3600)
    anvil.pay(payer, MINIMUM)
    anvil.mine(5)
    watch(deps)
    assert has(deps, payer) == 2 * HOUR


def test_tokens_whose_rail_is_off_wait_in_suspense(database, anvil, reader):
    settings = settings_of(anvil, usdc={"enabled": False})
    deps = make_deps(database, reader(settings), settings=settings)
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    anvil.mint_usdc(payer.address, 9_000_000)
    anvil.mint_axgt(payer.address, 500 * ETHER)
    anvil.call(payer, anvil.usdc.functions.transfer(to, 9_000_000))
    anvil.call(payer, anvil.axgt.functions.transfer(to, 500 * ETHER))
    anvil.call(payer, anvil.usdc.functions.transfer(to, 0))
    anvil.mine(6)
    watch(deps)
    assert sorted(shown(deps, payer)) == [("axgt", "wrong_asset"), ("usdc", "wrong_asset")]
    assert tokens(deps, "suspense:84532:usdc") == 9_000_000
    assert tokens(deps, "suspense:84532:axgt") == 500 * ETHER
    assert has(deps, payer) == 0
    assert ledger.audit(deps) == []


def test_a_batch_through_a_contract_is_an_event_per_log(database, anvil, reader):
    settings = settings_of(anvil, usdc={"enabled": True})
    deps = make_deps(database, reader(settings), settings=settings)
    payer, to, usdc = anvil.accounts[0], anvil.deployment.revenue_wallet, anvil.deployment.usdc
    forwarder = anvil.create("Forwarder")
    anvil.mint_usdc(forwarder.address, 6_000_000)
    values = [1_000_000, 2_000_000, 3_000_000]
    tx = anvil.call(payer, forwarder.functions.tokens(usdc, [to, payer.address, to], [1, 2, 3]))
    assert anvil.receipt(tx)["status"] == "0x1"
    tx = anvil.call(payer, forwarder.functions.tokens(usdc, [to, to, to], [v - 2 for v in values]))
    anvil.mine(6)
    watch(deps)
    views = deposits.list_deposits(deps, forwarder.address)
    assert sorted(v.amount for v in views) == [1, 3, 999_998, 1_999_998, 2_999_998]
    with deps.database.begin() as db:
        credited = ledger.balance(db, forwarder.address).gpu_ms
    # The first two lots were below the minimum alone; together with the others they reach it.
    assert credited == sum(int(v.amount) * HOUR // 1_000_000 for v in views)
    assert ledger.audit(deps) == []


def test_fake_tokens_and_payments_to_others_are_nothing(deps, anvil):
    payer, other = anvil.accounts[:2]
    fake = anvil.create("FakeToken")
    lie = anvil.call(payer, fake.functions.pretend(payer.address, anvil.deployment.revenue_wallet, 10**9))
    elsewhere = anvil.pay(payer, ETHER, to=other.address)
    forwarder = anvil.create("Forwarder")
    undone = anvil.call(payer, forwarder.functions.swallow(anvil.deployment.revenue_wallet), value=ETHER)
    anvil.mine(6)
    for tx in (lie, elsewhere, undone):
        assert anvil.receipt(tx)["status"] == "0x1"
        with pytest.raises(NothingForUs):
            deposits.hint(deps, payer.address, tx)
    watch(deps)
    assert shown(deps, payer) == []


def test_hints_in_every_state(deps, anvil):
    payer, other = anvil.accounts[:2]
    forwarder = anvil.create("Forwarder")
    with pytest.raises(DepositNotFound):
        deposits.hint(deps, payer.address, "0x" + "12" * 32)
    failed = anvil.call(payer, forwarder.functions.fail(), value=ETHER)
    with pytest.raises(TransactionFailed):
        deposits.hint(deps, payer.address, failed)
    with anvil.paused_mining():
        tx = anvil.pay(payer, MINIMUM)
        view = deposits.hint(deps, payer.address, tx)
        assert (view.state, view.confirmations) == ("seen", 0)
        anvil.mine()
    for confirmations in range(1, 6):
        view = deposits.hint(deps, other.address, tx[2:].upper())
        assert (view.confirmations, view.yours) == (confirmations, False)
        anvil.mine()
    view = deposits.hint(deps, payer.address, tx)
    assert (view.state, view.yours, view.credited_gpu_ms) == ("credited", True, 2 * HOUR)
    assert (has(deps, payer), has(deps, other)) == (2 * HOUR, 0)


def test_a_replaced_transaction_is_credited_once_under_its_new_hash(deps, anvil):
    payer = anvil.accounts[0]
    with anvil.paused_mining():
        slow = anvil.pay(payer, MINIMUM)
        nonce = anvil.w3.eth.get_transaction_count(payer.address)
        fields = {"to": anvil.deployment.revenue_wallet, "value": MINIMUM, "nonce": nonce}
        quick = anvil.send(payer, **fields, maxFeePerGas=500 * 10**9, maxPriorityFeePerGas=50 * 10**9)
        anvil.mine()
    anvil.mine(5)
    with pytest.raises(DepositNotFound):
        deposits.hint(deps, payer.address, slow)
    assert deposits.hint(deps, payer.address, quick).state == "credited"
    assert has(deps, payer) == 2 * HOUR


@pytest.mark.parametrize("confirmations", [3, 8])
def test_a_reorganisation_takes_the_credit_back_and_a_second_mining_brings_it_once(
    deps, anvil, confirmations
):
    payer = anvil.accounts[0]
    raw = anvil.sign(payer, to=anvil.deployment.revenue_wallet, value=MINIMUM)
    anvil.rpc("eth_sendRawTransaction", raw)
    anvil.mine(confirmations - 1)
    watch(deps)
    assert has(deps, payer) == (2 * HOUR if confirmations >= 6 else 0)
    anvil.reorg(confirmations)
    anvil.mine(2)
    watch(deps)
    assert has(deps, payer) == 0
    assert shown(deps, payer) == [("eth", "reversed" if confirmations >= 6 else "orphaned")]
    assert ledger.audit(deps) == []
    anvil.rpc("eth_sendRawTransaction", raw)
    anvil.mine(6)
    watch(deps)
    assert has(deps, payer) == 2 * HOUR
    assert shown(deps, payer) == [("eth", "credited")]
    assert tokens(deps, "received:84532:eth") == MINIMUM
    assert ledger.audit(deps) == []


def test_mined_again_inside_the_reorganisation_at_another_height(deps, anvil):
    payer = anvil.accounts[0]
    raw = anvil.sign(payer, to=anvil.deployment.revenue_wallet, value=MINIMUM)
    anvil.rpc("eth_sendRawTransaction", raw)
    anvil.mine(6)
    watch(deps)
    assert has(deps, payer) == 2 * HOUR
    anvil.reorg(7, again=[(raw, 2)])
    anvil.mine(2)
    watch(deps)
    assert has(deps, payer) == 2 * HOUR
    assert [n.kind for n in ledger.statement(deps, payer.address, 9)] == ["deposit", "reversal", "deposit"]
    assert ledger.audit(deps) == []


def test_without_a_sane_price_at_its_block_the_deposit_waits(deps, anvil):
    payer, later = anvil.accounts[:2]
    anvil.set_eth_usd(1)
    anvil.pay(payer, MINIMUM)
    anvil.set_eth_usd(PRICE)
    anvil.pay(later, MINIMUM)
    anvil.mine(5)
    watch(deps)
    deps.clock.advance(5_000)
    watch(deps)
    assert (shown(deps, payer), has(deps, payer)) == ([("eth", "price_pending")], 0)
    assert (shown(deps, later), has(deps, later)) == ([("eth", "credited")], 2 * HOUR)


def test_a_replaced_and_a_dropped_transaction_say_what_became_of_them(deps, anvil):
    payer, other = anvil.accounts[:2]
    to, nonce = anvil.deployment.revenue_wallet, anvil.w3.eth.get_transaction_count
    watch(deps)
    with anvil.paused_mining():
        first = anvil.send(payer, to=to, value=MINIMUM, nonce=nonce(payer.address))
        dropped = anvil.send(other, to=to, value=MINIMUM, nonce=nonce(other.address))
        for tx_hash in (first, dropped):
            view = deposits.hint(deps, payer.address.lower(), tx_hash)
            assert (view.state, view.confirmations) == ("seen", 0)
        second = anvil.send(
            payer,
            to=to,
            value=2 * MINIMUM,
            nonce=nonce(payer.address),
            maxFeePerGas=300 * 10**9,
            maxPriorityFeePerGas=5 * 10**9,
        )
        anvil.rpc("anvil_dropTransaction", dropped)
    deps.clock.advance(180_000)
    view = deposits.hint(deps, other.address.lower(), dropped)
    assert (view.state, "3 minutes ago" in view.message) == ("dropped", True)
    anvil.mine(6)
    watch(deps)
    view = deposits.hint(deps, payer.address.lower(), first)
    assert (view.state, second in view.message) == ("replaced", True)
    assert has(deps, payer) == 4 * HOUR
    again = anvil.send(other, to=to, value=MINIMUM)
    anvil.mine(6)
    assert deposits.hint(deps, other.address.lower(), again).state == "credited"
    assert ledger.audit(deps) == []


def test_an_unsupported_token_is_named(deps, anvil):
    payer = anvil.accounts[0]
    token = anvil.create("FakeToken", sender=payer)
    tx_hash = anvil.call(payer, token.functions.pretend(payer.address, anvil.deployment.revenue_wallet, 7))
    with pytest.raises(UnsupportedToken, match=token.address.lower()):
        deposits.hint(deps, payer.address.lower(), tx_hash)


def test_a_chain_with_another_genesis_stops_the_watcher(deps, anvil, reader):
    payer = anvil.accounts[0]
    anvil.pay(payer, MINIMUM)
    anvil.mine(5)
    watch(deps)
    with run_chain("--timestamp", "1") as other:
        settings = settings_of(anvil, chain={"rpc_urls": [other.rpc_url]})
        astray = make_deps(deps.database, reader(settings), settings=settings)
        other.mine(40)
        assert deposits.watch_once(astray) == 0
    with deps.database.begin() as db:
        assert db.get_one(ChainCursor, 84532).stopped_why == OTHER_CHAIN
    assert has(deps, payer) == 2 * HOUR


def test_what_is_credited_is_what_the_revenue_wallet_received(deps, anvil):
    for number, payer in enumerate(anvil.accounts):
        anvil.pay(payer, MINIMUM + number)
        anvil.pay(payer, 1 + number)
    anvil.mine(5)
    watch(deps)
    held = anvil.w3.eth.get_balance(anvil.deployment.revenue_wallet)
    assert tokens(deps, "received:84532:eth") + tokens(deps, "suspense:84532:eth") == held
    assert -tokens(deps, "chain:84532:eth") == held
    assert ledger.audit(deps) == []


def test_the_panel_shows_price_minutes_and_tier(deps, anvil):
    holder = anvil.accounts[0]
    anvil.mint_axgt(holder.address, 250 * ETHER)
    deps.clock.ms = deps.chain.head().timestamp_s * 1000
    found = rates(deps, RateBoard(deps), holder.address.lower())
    eth, usdc, axgt = found.rows
    assert (eth.rail, eth.enabled, eth.minimum_text, eth.discount_bps) == ("eth", True, "0.000475", 500)
    assert (eth.minutes_for_minimum, eth.usd_price_text) == ("120.0", "4000")
    assert (usdc.enabled, usdc.minimum_text, usdc.minutes_for_minimum) == (True, "1", "60.0")
    assert (axgt.enabled, axgt.minimum_text, axgt.minutes_for_minimum) == (False, "100", None)
    assert found.holding is not None
    assert (found.holding.axgt_balance_text, found.holding.tier_index) == ("250", 1)


def test_the_panel_without_a_chain_has_gaps_and_no_error(database, anvil, reader):
    settings = settings_of(anvil, chain={"rpc_urls": [f"http://127.0.0.1:{free_port()}"]})
    deps = make_deps(database, reader(settings), settings=settings)
    found = rates(deps, RateBoard(deps), anvil.accounts[0].address.lower())
    assert (found.rows[0].minutes_for_minimum, found.holding) == (None, None)
    assert found.rows[0].minimum_text == "0.0005"


def test_a_dead_node_is_passed_over_and_only_dead_ones_are_an_error(anvil, reader):
    dead = f"http://127.0.0.1:{free_port()}/secret-key"
    chain = reader(settings_of(anvil, chain={"rpc_urls": [dead, anvil.rpc_url]}))
    assert chain.genesis_hash() == anvil.deployment.genesis_hash
    with pytest.raises(ChainUnavailable) as refused:
        reader(settings_of(anvil, chain={"rpc_urls": [dead]})).head()
    assert "secret-key" not in str(refused.value)


def test_a_node_of_another_chain_id_and_wrong_decimals_are_refused(anvil, reader):
    with pytest.raises(ChainUnavailable, match="chain id"):
        reader(settings_of(anvil, chain={"chain_id": 1})).genesis_hash()
    with pytest.raises(SettingsInvalid, match="axgt"):
        reader(settings_of(anvil, axgt={"decimals": 6})).genesis_hash()


def test_state_that_the_node_dropped_is_told_from_a_node_that_is_down(reader):
    with run_chain("--prune-history", "20") as pruned:
        chain = reader(settings_of(pruned))
        old = chain.head()
        pruned.mine(60)
        with pytest.raises(StateForgotten):
            chain.eth_usd(old.hash)
        with pytest.raises(StateForgotten):
            chain.axgt_balance(pruned.accounts[0].address, old.hash)
        assert chain.axgt_balance(pruned.accounts[0].address) == 0
        assert chain.finalized_number() <= chain.head().number
