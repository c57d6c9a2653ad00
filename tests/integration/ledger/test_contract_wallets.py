"""Contract wallets and the auditor on a real chain: sign in, pay, spend, give away, return, and every wei found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from chainkit import ETHER, Chain, run_chain
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from fakes import FakeClock, make_deps, make_settings
from ledger_kit import Bank, entry
from session_kit import FakeProvisioner
from sqlalchemy import text

from controller.adapters.chain import Web3Chain
from controller.adapters.sign_in import SiweVerifier
from controller.auditor.run import Report, audit
from controller.domain.assign_deposit import Assignment
from controller.errors import ChainUnavailable, EntryRefused, SignInRefused
from controller.services.deposits import of_wallet as deposits
from controller.services.money import assignments, suspense
from controller.services.money import ledger_requests as requests
from controller.services.queue import claims
from controller.services.wallets import contract_sessions
from controller.services.wallets import sign_in as wallets

pytestmark = pytest.mark.integration
MAGIC_6492 = "6492" * 16


@pytest.fixture(scope="module")
def anvil() -> Iterator[Chain]:
    """A chain that knows EIP-7702."""
    with run_chain(hardfork="prague") as chain:
        yield chain


@pytest.fixture
def bank(database: Any, database_url: str, anvil: Chain) -> Iterator[Bank]:
    """A platform on that chain; it begins to watch where the chain is now."""
    where = anvil.deployment
    settings = make_settings(
        database_url,
        chain={
            "chain_id": where.chain_id,
            "rpc_urls": [where.rpc_url],
            "genesis_hash": where.genesis_hash,
            "revenue_wallet": where.revenue_wallet,
            "start_block": anvil.rpc.head() + 1,
        },
        eth={"usd_feed": where.eth_usd_feed},
        axgt={"contract": where.axgt},
        usdc={"contract": where.usdc},
    )
    with closing(Web3Chain(settings)) as reader:
        deps = make_deps(database, reader, settings=settings)
        clock: Any = deps.clock
        assert isinstance(clock, FakeClock)
        verifier = SiweVerifier(clock, {where.chain_id: [where.rpc_url]})
        found = Bank(replace(deps, sign_in=verifier), clock, FakeProvisioner(clock))
        found.add_host()
        yield found


def watch(bank: Bank, anvil: Chain, *, final: bool = False) -> None:
    anvil.mine(70 if final else 6)
    while deposits.watch_once(bank.deps):
        pass


def sign_in(bank: Bank, address: str, sign: Any) -> wallets.SignedIn:
    asked = wallets.start_sign_in(bank.deps, address, "browser")
    return wallets.sign_in(bank.deps, asked.message, sign(encode_defunct(text=asked.message)), "browser")


def by(key: Any) -> Any:
    return lambda message: "0x" + key.sign_message(message).signature.hex()


def wallet_of(anvil: Chain, owner: Any, wei: int = 0) -> Any:
    made = anvil.create("SmartWallet", owner.address)
    if wei:
        anvil.pay(anvil.faucet, wei, made.address)
    return made


def pay_from(anvil: Chain, wallet: Any, owner: Any, wei: int) -> str:
    call = wallet.functions.execute(anvil.deployment.revenue_wallet, wei, b"")
    return anvil.call(owner, call)


def audited(bank: Bank) -> Report:
    return audit(bank.deps.settings, lambda _check, _count: None)


def test_a_contract_pays_signs_in_and_spends(bank: Bank, anvil: Chain) -> None:
    owner, stranger = anvil.accounts[0], anvil.accounts[1]
    contract = wallet_of(anvil, owner, ETHER)
    pay_from(anvil, contract, owner, ETHER // 1_000)
    watch(bank, anvil)
    assert bank.balance(contract.address) > 0
    assert bank.balance(owner.address) == 0
    opened = sign_in(bank, contract.address, by(owner))
    assert opened.wallet == contract.address.lower()
    assert claims.claim(bank.deps, opened.wallet, "small").state in {"queued", "starting"}
    with pytest.raises(SignInRefused):
        sign_in(bank, contract.address, by(stranger))
    with pytest.raises(SignInRefused):
        sign_in(bank, contract.address, lambda _message: "0x")
    with pytest.raises(SignInRefused):
        sign_in(bank, stranger.address, by(owner))
    report = audited(bank)
    assert (report.findings, report.unchecked) == ([], [])


def test_a_wallet_signs_before_it_exists(bank: Bank, anvil: Chain) -> None:
    owner, stranger, salt = anvil.accounts[2], anvil.accounts[3], b"\x07" * 32
    factory = anvil.contract("WalletFactory", anvil.deployment.wallet_factory)
    address = factory.functions.addressOf(owner.address, salt).call()
    assert anvil.w3.eth.get_code(address) == b""
    create = factory.encode_abi("create", [owner.address, salt])

    def wrapped(key: Any) -> Any:
        def sign(message: Any) -> str:
            inner = bytes(key.sign_message(message).signature)
            parts = encode(["address", "bytes", "bytes"], [factory.address, bytes.fromhex(create[2:]), inner])
            return "0x" + parts.hex() + MAGIC_6492

        return sign

    opened = sign_in(bank, address, wrapped(owner))
    assert opened.wallet == address.lower()
    assert anvil.w3.eth.get_code(address) == b""
    with pytest.raises(SignInRefused):
        sign_in(bank, address, wrapped(stranger))
    with pytest.raises(SignInRefused):
        sign_in(bank, stranger.address, wrapped(owner))
    anvil.call(owner, factory.functions.create(owner.address, salt))
    bank.clock.advance(contract_sessions.RECHECK_MS)
    assert contract_sessions.recheck(bank.deps) == 1
    assert wallets.who(bank.deps, opened.token) is not None
    assert sign_in(bank, address, by(owner)).wallet == address.lower()


def test_a_plain_wallet_with_delegated_code_stays_itself(bank: Bank, anvil: Chain) -> None:
    """EIP-7702: code at the address takes nothing from its key."""
    account = anvil.new_account()
    code = wallet_of(anvil, anvil.accounts[0])
    anvil.rpc("anvil_setCode", account.address, "0xef0100" + code.address[2:].lower())
    assert anvil.w3.eth.get_code(account.address)
    assert sign_in(bank, account.address, by(account)).wallet == account.address.lower()
    anvil.pay(account, ETHER // 1_000)
    watch(bank, anvil)
    assert bank.balance(account.address) > 0


def test_a_contracts_deposit_goes_to_whom_its_owner_names(bank: Bank, anvil: Chain) -> None:
    owner, friend = anvil.accounts[4], Account.create().address.lower()
    contract = wallet_of(anvil, owner, ETHER)
    tx = pay_from(anvil, contract, owner, ETHER // 1_000)
    watch(bank, anvil, final=True)
    place = bank.rows("SELECT position FROM money_event WHERE tx_hash = :t", t=tx)[0][0]
    said = assignments.words(bank.deps, anvil.deployment.chain_id, tx, place, friend)
    told = said["message"]
    asked = Assignment(told["chainId"], tx, place, friend, int(told["nonce"]), told["deadline"])
    other = by(anvil.accounts[0])(encode_typed_data(full_message=said))
    with pytest.raises(SignInRefused):
        assignments.assign(bank.deps, friend, asked, other)
    before = bank.balance(contract.address)
    signature = by(owner)(encode_typed_data(full_message=said))
    assert assignments.assign(bank.deps, friend, asked, signature).gpu_ms == before > 0
    assert (bank.balance(contract.address), bank.balance(friend)) == (0, before)
    assert audited(bank).findings == []


def test_suspense_is_returned_only_as_the_chain_shows_it(bank: Bank, anvil: Chain) -> None:
    lost, other = 3_000_000, anvil.accounts[1].address
    anvil.mint_usdc(anvil.deployment.revenue_wallet, lost)  # from nobody
    anvil.pay(anvil.faucet, ETHER, anvil.revenue.address)
    watch(bank, anvil, final=True)
    waiting = next(e for e in suspense.waiting(bank.deps) if e.amount == lost)
    assert waiting.state == "unattributed"
    short = anvil.call(anvil.revenue, anvil.usdc.functions.transfer(other, lost - 1))
    anvil.mint_usdc(anvil.deployment.revenue_wallet, lost)
    right = anvil.call(anvil.revenue, anvil.usdc.functions.transfer(other, lost))
    wanted = entry("back", kind="return", gpu_ms=0, event_id=waiting.event_id, proof=right, wallet=None)
    with pytest.raises(EntryRefused, match="not final yet"):
        requests.submit(bank.deps, wanted, "olga")
    watch(bank, anvil, final=True)
    with pytest.raises(EntryRefused, match="exactly this amount"):
        requests.submit(bank.deps, replace(wanted, request_id="x", proof=short), "olga")
    # To another address than the payer's, a second operator must say so.
    assert requests.submit(bank.deps, wanted, "olga").state == "waiting"
    assert requests.decide(bank.deps, "back", "pavel").state == "done"
    assert waiting.event_id not in {e.event_id for e in suspense.waiting(bank.deps)}
    second = next(e for e in suspense.waiting(bank.deps) if e.amount == lost)
    again = replace(wanted, request_id="again", event_id=second.event_id)
    requests.submit(bank.deps, again, "olga")
    with pytest.raises(EntryRefused, match="another event"):
        requests.decide(bank.deps, "again", "pavel")
    report = audited(bank)
    assert report.findings == []
    assert [(w["asset"], w["amount"]) for w in report.withdrawals if w["amount"]] == [
        ("usdc", lost - 1),
        ("usdc", lost),
    ]


def test_the_auditor_finds_what_the_platform_never_read(bank: Bank, anvil: Chain) -> None:
    payer = anvil.accounts[3]
    anvil.mint_usdc(payer.address, 9_000_000)
    to = anvil.deployment.revenue_wallet
    anvil.call(payer, anvil.usdc.functions.transfer(to, 2_000_000))
    anvil.pay(payer, ETHER // 500)
    watch(bank, anvil)
    assert audited(bank).findings == []
    unread = anvil.call(payer, anvil.usdc.functions.transfer(to, 3_000_000))
    anvil.pay(payer, 7)
    head = anvil.w3.eth.get_block(anvil.mine(1))
    with bank.deps.database.begin() as db:  # as if the cursor had moved on a lie
        moved = {"n": head["number"], "h": head["hash"].to_0x_hex()}
        db.execute(text("UPDATE chain_cursor SET block_number = :n, block_hash = :h"), moved)
    found = {(f.check, f.subject.split()[0]): f.what for f in audited(bank).findings}
    assert "is not recorded as paid" in found["chain", unread]
    wrong = [f.what for f in audited(bank).findings if f.check == "balance"]
    assert len(wrong) == 2
    with bank.deps.database.begin() as db:
        db.execute(text("UPDATE chain_cursor SET block_hash = '0x1'"))
    assert any("block read last" in f.what for f in audited(bank).findings)


def test_a_silent_node_is_no_refusal(bank: Bank, anvil: Chain) -> None:
    silent = SiweVerifier(bank.clock, {anvil.deployment.chain_id: ["http://127.0.0.1:9"]}, timeout_s=1)
    bank.deps = replace(bank.deps, sign_in=silent)
    with pytest.raises(ChainUnavailable):
        sign_in(bank, wallet_of(anvil, anvil.accounts[0]).address, by(anvil.accounts[0]))
    elsewhere = SiweVerifier(bank.clock, {anvil.deployment.chain_id: []})
    bank.deps = replace(bank.deps, sign_in=elsewhere)
    assert sign_in(bank, anvil.accounts[0].address, by(anvil.accounts[0])).wallet
