"""What reached the revenue wallets, read from a real chain: every way to pay, and every way to seem to."""

from __future__ import annotations

import pytest
from chainkit import ETHER, Chain, run_chain
from eth_account import Account
from reader_kit import read, reading

from controller.services.ports import BlockMoney, Sent

pytestmark = pytest.mark.integration
USDC = 1_000_000


@pytest.fixture(scope="module")
def reader(anvil: Chain):
    with reading(anvil) as reader:
        yield reader


@pytest.fixture
def archive():
    with run_chain("--prune-history", "20000") as chain, reading(chain) as reader:
        yield chain, reader


def at(anvil: Chain, reader, tx: str) -> BlockMoney:
    """The money of the block that a transaction is in."""
    receipt = anvil.receipt(tx)
    assert receipt["status"] == "0x1"
    return reader.payments_in(reader.block(int(receipt["blockNumber"], 16)))


def short(money: BlockMoney) -> list[tuple[str, str, int]]:
    return [(p.position, p.payer, p.amount) for p in money.payments]


# What the forwarder does, the positions of what arrives, and the parts of an ether.
CASES = {
    "forward": [("eth:0.0", 4)],
    "mixed": [("eth:0.0", 1), ("eth:0.2", 2)],
    "swallow": [],
    "overspend": [],
    "noise": [],
}


@pytest.mark.parametrize("way", CASES)
def test_eth_through_a_contract_is_paid_by_the_contract_and_only_what_arrives(anvil, reader, way):
    forwarder, to = anvil.forwarder, anvil.deployment.revenue_wallet
    before = anvil.w3.eth.get_balance(to)
    tx = anvil.call(anvil.accounts[0], getattr(forwarder.functions, way)(to), ETHER)
    money = at(anvil, reader, tx)
    payer = forwarder.address.lower()
    assert short(money) == [(position, payer, parts * ETHER // 4) for position, parts in CASES[way]]
    assert sum(p.amount for p in money.payments) == anvil.w3.eth.get_balance(to) - before
    assert (money.unexplained_wei, money.doubtful) == (0, ())
    assert reader.payments_of(tx) == money.payments
    assert {p.sender for p in money.payments} <= {anvil.accounts[0].address.lower()}


@pytest.mark.parametrize("way", ["bequeath", "bequeathTwice"])
def test_what_a_self_destruct_leaves_has_no_payer(anvil, reader, way):
    to = anvil.deployment.revenue_wallet
    tx = anvil.call(anvil.accounts[0], getattr(anvil.forwarder.functions, way)(to), ETHER)
    money = at(anvil, reader, tx)
    assert (money.payments, money.unexplained_wei) == ([], ETHER)


def test_a_batch_and_two_currencies_in_one_transaction(anvil, reader):
    to, other = anvil.deployment.revenue_wallet, Account.create().address
    forwarder, payer = anvil.forwarder, anvil.accounts[0]
    tx = anvil.call(payer, forwarder.functions.batch([to, other, to], [1, 2, 3]), 6)
    address = forwarder.address.lower()
    assert short(at(anvil, reader, tx)) == [("eth:0.0", address, 1), ("eth:0.2", address, 3)]
    anvil.mint_usdc(forwarder.address, USDC)
    tx = anvil.call(payer, forwarder.functions.both(to, anvil.deployment.usdc, USDC), 7)
    money = at(anvil, reader, tx)
    assert short(money) == [("log:0", address, USDC), ("eth:0.0", address, 7)]
    assert sorted(reader.payments_of(tx), key=str) == sorted(money.payments, key=str)


def test_a_contract_wallet_pays_itself_and_a_puller_pays_for_its_owner(anvil, reader):
    owner, to = anvil.accounts[1], anvil.deployment.revenue_wallet
    wallet = anvil.create("SmartWallet", owner.address)
    anvil.rpc("anvil_setBalance", wallet.address, hex(ETHER))
    anvil.mint_usdc(wallet.address, USDC)
    tx = anvil.call(owner, wallet.functions.execute(to, 5, b""))
    assert short(at(anvil, reader, tx)) == [("eth:0.0", wallet.address.lower(), 5)]
    data = anvil.usdc.functions.transfer(to, USDC)._encode_transaction_data()
    tx = anvil.call(owner, wallet.functions.execute(anvil.deployment.usdc, 0, data))
    assert short(at(anvil, reader, tx)) == [("log:0", wallet.address.lower(), USDC)]
    anvil.mint_usdc(owner.address, USDC)
    anvil.call(owner, anvil.usdc.functions.approve(anvil.forwarder.address, USDC))
    pull = anvil.forwarder.functions.pull(anvil.deployment.usdc, owner.address, to, USDC)
    tx = anvil.call(anvil.accounts[2], pull)
    assert short(at(anvil, reader, tx)) == [("log:0", owner.address.lower(), USDC)]


def test_what_only_looks_like_a_payment_is_none(anvil, reader):
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    start = anvil.rpc.head()
    fake = anvil.contract("FakeToken", anvil.deployment.fake_token)
    lie = anvil.call(payer, fake.functions.pretend(payer.address, to, 10**9))
    anvil.call(payer, anvil.usdc.functions.transferFrom(anvil.accounts[1].address, to, 0))
    anvil.pay(payer, 0)
    failed = anvil.call(payer, anvil.forwarder.functions.fail(), ETHER)
    assert [m for _, m in read(reader, start) if m != BlockMoney([])] == []
    assert reader.unsupported_tokens_of(lie) == [anvil.deployment.fake_token.lower()]
    assert (reader.payments_of(failed), reader.transaction(failed).succeeded) == ([], False)


def test_what_nothing_explains_is_told(anvil, reader):
    """A block's reward, and a balance that changes with no transaction at all."""
    to = anvil.deployment.revenue_wallet
    anvil.rpc("anvil_setCoinbase", to)
    tx = anvil.call(anvil.accounts[0], anvil.forwarder.functions.forward(to), ETHER)
    anvil.rpc("anvil_setCoinbase", "0x" + "00" * 20)
    money = at(anvil, reader, tx)
    assert short(money) == [("eth:0.0", anvil.forwarder.address.lower(), ETHER)]
    receipt = anvil.receipt(tx)
    assert money.unexplained_wei == 10**9 * int(receipt["gasUsed"], 16)
    anvil.rpc("anvil_setBalance", to, hex(anvil.w3.eth.get_balance(to) + 77))
    anvil.mine()
    assert reader.payments_in(reader.head()) == BlockMoney([], 77)


def test_without_tracing_it_is_told_and_not_lost(anvil):
    to = anvil.deployment.revenue_wallet
    with anvil.paused_mining():
        anvil.pay(anvil.accounts[1], 5)
        tx = anvil.call(anvil.accounts[0], anvil.forwarder.functions.forward(to), ETHER)
        anvil.mine()
    with reading(anvil, chain={"trace": "off"}) as blind:
        money = at(anvil, blind, tx)
    assert short(money) == [("eth:0", anvil.accounts[1].address.lower(), 5)]
    assert money.unexplained_wei == ETHER


def test_a_withdrawal_in_the_same_block_hides_nothing(anvil, reader):
    """The operator takes out more than comes in; the balance falls, every payment is found."""
    to, payer = anvil.deployment.revenue_wallet, anvil.accounts[0]
    anvil.pay(payer, 20 * ETHER)
    safe = Account.create().address
    with anvil.paused_mining():
        out = anvil.send(anvil.revenue, to=safe, value=9 * ETHER)
        tx = anvil.call(payer, anvil.forwarder.functions.mixed(to), ETHER)
        anvil.pay(payer, 3)
        anvil.call(anvil.revenue, anvil.forwarder.functions.fail(), ETHER)
        anvil.mine()
    money = at(anvil, reader, tx)
    assert sorted(p.amount for p in money.payments) == [3, ETHER // 4, ETHER // 2]
    assert money.unexplained_wei == 0
    assert reader.sent_in(out) == [Sent("eth", safe.lower(), 9 * ETHER)]
    assert reader.sent_in(tx) == []


def test_a_revenue_wallet_with_code_is_looked_into_block_by_block(anvil):
    """A Safe-like wallet spends without a nonce: as much may go out as comes in."""
    owner, payer = anvil.accounts[1], anvil.accounts[0]
    safe = anvil.create("SmartWallet", owner.address)
    anvil.mint_usdc(safe.address, USDC)
    out = anvil.usdc.functions.transfer(payer.address, USDC)._encode_transaction_data()
    with reading(anvil, chain={"revenue_wallet": safe.address}) as reader:
        anvil.pay(payer, 10, to=safe.address)
        start = anvil.rpc.head()
        with anvil.paused_mining():
            anvil.pay(payer, 4, to=safe.address)
            sent = anvil.call(owner, safe.functions.execute(payer.address, 4, b""))
            anvil.call(owner, safe.functions.execute(anvil.deployment.usdc, 0, out))
            anvil.mine()
        ((_, money),) = read(reader, start)
        assert (short(money), money.unexplained_wei) == ([("eth:0", payer.address.lower(), 4)], 0)
        assert reader.sent_in(sent) == [Sent("eth", payer.address.lower(), 4)]


def test_former_revenue_wallets_are_watched_for_ever(anvil):
    payer, old = anvil.accounts[0], Account.create().address
    with reading(anvil, chain={"former_revenue_wallets": [old]}) as reader:
        start = anvil.rpc.head()
        anvil.mint_usdc(payer.address, USDC)
        anvil.pay(payer, 5, to=old)
        anvil.call(payer, anvil.forwarder.functions.forward(old), 6)
        anvil.call(payer, anvil.usdc.functions.transfer(old, USDC))
        anvil.pay(payer, 7)
        found = [p for _, money in read(reader, start) for p in money.payments]
    assert [p.amount for p in found] == [5, 6, USDC, 7]
    assert [p.recipient for p in found] == [old.lower()] * 3 + [anvil.deployment.revenue_wallet.lower()]


@pytest.mark.parametrize("hidden", [False, True])
def test_a_token_with_a_fee_counts_what_its_log_says_and_a_hidden_fee_is_told(anvil, reader, hidden):
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    anvil.mint_axgt(payer.address, 1_000)
    anvil.call(anvil.faucet, anvil.axgt.functions.setFee(100, hidden))
    try:
        tx = anvil.call(payer, anvil.axgt.functions.transfer(to, 1_000))
    finally:
        anvil.call(anvil.faucet, anvil.axgt.functions.setFee(0, False))
    money = at(anvil, reader, tx)
    assert [p.amount for p in money.payments] == [1_000 if hidden else 990]
    assert money.doubtful == (("axgt",) if hidden else ())


def test_a_token_that_changes_balances_by_itself_is_told(anvil, reader):
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    anvil.mint_axgt(payer.address, 1_000)
    anvil.call(payer, anvil.axgt.functions.transfer(to, 900))
    held = anvil.axgt.functions.balanceOf(to).call()
    with anvil.paused_mining():
        tx = anvil.call(payer, anvil.axgt.functions.transfer(to, 100))
        anvil.call(anvil.faucet, anvil.axgt.functions.rebase(to, held))
        anvil.mine()
    assert at(anvil, reader, tx).doubtful == ("axgt",)


def test_a_payment_from_the_depth_of_the_call_tree(anvil, reader):
    to = anvil.deployment.revenue_wallet
    data = anvil.forwarder.functions.deep(to, 240)._encode_transaction_data()
    tx = anvil.send(anvil.accounts[0], to=anvil.forwarder.address, value=5, data=data, gas=29_000_000)
    money = at(anvil, reader, tx)
    assert [(p.amount, p.position.count(".")) for p in money.payments] == [(5, 241)]
    assert reader.payments_of(tx) == money.payments


def test_an_outage_of_thousands_of_blocks_is_read_whole_and_in_few_requests(archive, monkeypatch):
    anvil, reader = archive
    payer, start = anvil.accounts[0], anvil.rpc.head()
    anvil.mint_usdc(payer.address, USDC)
    paid = []
    for gap in (1_500, 700, 2_000):
        anvil.mine(gap)
        paid.append(anvil.pay(payer, 5))
        paid.append(anvil.call(payer, anvil.usdc.functions.transfer(anvil.deployment.revenue_wallet, 1)))
        paid.append(anvil.call(payer, anvil.forwarder.functions.forward(anvil.deployment.revenue_wallet), 9))
    anvil.mine(1_000)
    asked = []
    node = reader._pool.nodes[0]
    post = node._post
    monkeypatch.setattr(node, "_post", lambda body: asked.append(body) or post(body))
    found = read(reader, start)
    assert [p.tx_hash for _, money in found for p in money.payments] == paid
    assert found[-1][0].number == anvil.rpc.head()
    numbers = [block.number for block, _ in found]
    assert numbers == sorted(set(numbers))
    assert set(range(anvil.rpc.head() - 256, anvil.rpc.head() + 1)) <= set(numbers)
    assert len(asked) < 300


@pytest.mark.parametrize("knew", [True, False])
def test_an_outage_longer_than_the_node_keeps_state(knew, caplog):
    """Direct payments are found all the same; ETH through contracts as a sum, if we knew where we stood."""
    with run_chain("--prune-history", "20") as pruned, reading(pruned) as reader:
        to, payer, start = pruned.deployment.revenue_wallet, pruned.accounts[0], pruned.rpc.head()
        if knew:
            assert reader.payments_in(reader.head()) == BlockMoney([])
        for _ in range(3):
            pruned.mine(40)
            pruned.pay(payer, 5)
            pruned.call(payer, pruned.forwarder.functions.forward(to), 9)
        pruned.mine(60)
        pruned.pay(payer, 7)
        found = [money for _, money in read(reader, start)]
    assert [p.amount for money in found for p in money.payments] == [5, 5, 5, 7]
    assert sum(money.unexplained_wei for money in found) == (27 if knew else 0)
    assert ("cannot be seen" in caplog.text) is not knew


def test_replaced_and_waiting_transactions_are_told_apart(anvil, reader):
    payer = anvil.accounts[3]
    with anvil.paused_mining():
        slow = anvil.pay(payer, 5)
        facts = reader.transaction(slow)
        assert (facts.known, facts.block_number, facts.sender, facts.nonce) == (
            True, None, payer.address.lower(), 0,
        )  # fmt: skip
        assert reader.next_nonce(payer.address) == 0
        fields = {"to": anvil.deployment.revenue_wallet, "value": 6, "nonce": 0}
        quick = anvil.send(payer, **fields, maxFeePerGas=500 * 10**9, maxPriorityFeePerGas=50 * 10**9)
        anvil.mine()
    assert reader.transaction(slow).known is False
    assert reader.next_nonce(payer.address) == 1
    facts = reader.transaction(quick)
    assert (facts.succeeded, facts.nonce, facts.block_number) == (True, 0, anvil.rpc.head())
