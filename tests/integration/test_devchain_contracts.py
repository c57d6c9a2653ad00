"""The contracts of the local chain do what the real ones do, as far as the platform and stock clients rely on it."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import asdict

import pytest
from chainkit import ETHER, Chain, ContractLogicError, anvil_fixture, node_folder, run_chain  # noqa: F401
from eth_account import Account
from eth_account.messages import encode_typed_data
from hexbytes import HexBytes

from infra.devchain.artifacts import FOLDER
from infra.devchain.node import HERE, node_program

pytestmark = pytest.mark.integration
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
USDC = 1_000_000
RECORDED = [
    *("usdc", "axgt", "eth_usd_feed", "usdc_usd_feed", "axgt_usd_feed", "axgt_pool", "sequencer_feed"),
    *("forwarder", "fake_token", "wallet_factory", "multicall3"),
]


def _authorization(chain: Chain, sender: str, to: str, value: int, valid_for: int = 600) -> dict:
    now = chain.w3.eth.get_block("latest")["timestamp"]
    return {
        "from": sender,
        "to": to,
        "value": value,
        "validAfter": 0,
        "validBefore": now + valid_for,
        "nonce": secrets.token_bytes(32),
    }


def _sign(chain: Chain, account, message: dict):
    domain = {
        "name": "USDC",
        "version": "2",
        "chainId": 84532,
        "verifyingContract": chain.deployment.usdc,
    }
    fields = [("from", "address"), ("to", "address"), ("value", "uint256")]
    fields += [("validAfter", "uint256"), ("validBefore", "uint256"), ("nonce", "bytes32")]
    types = {"TransferWithAuthorization": [{"name": n, "type": t} for n, t in fields]}
    return account.sign_message(encode_typed_data(domain, types, message))


def _by_vrs(chain: Chain, message: dict, v: int, r: int, s: int):
    name = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
    return chain.usdc.get_function_by_signature(name)(
        *message.values(), v, r.to_bytes(32, "big"), s.to_bytes(32, "big")
    )


def _by_bytes(chain: Chain, message: dict, signature: bytes):
    name = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
    return chain.usdc.get_function_by_signature(name)(*message.values(), signature)


def test_the_committed_artifacts_are_what_the_sources_compile_to(tmp_path):
    subprocess.run(
        [node_program(), HERE / "compile.mjs", node_folder(), tmp_path], check=True, capture_output=True
    )
    fresh = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert fresh == {file.name: file.read_text() for file in FOLDER.iterdir()}
    assert "MockUsdc.json" in fresh


@pytest.mark.parametrize("form", ["vrs", "bytes"])
def test_a_signed_transfer_moves_usdc_once(anvil: Chain, form: str):
    payer, payee, sender = anvil.new_account(), Account.create().address, anvil.accounts[0]
    anvil.mint_usdc(payer.address, 5 * USDC)
    message = _authorization(anvil, payer.address, payee, 2 * USDC)
    signed = _sign(anvil, payer, message)
    function = (
        _by_vrs(anvil, message, signed.v, signed.r, signed.s)
        if form == "vrs"
        else _by_bytes(anvil, message, bytes(signed.signature))
    )
    assert anvil.receipt(anvil.call(sender, function))["status"] == "0x1"
    assert anvil.usdc.functions.balanceOf(payee).call() == 2 * USDC
    assert anvil.usdc.functions.authorizationState(payer.address, message["nonce"]).call()
    with pytest.raises(ContractLogicError, match="FiatTokenV2: authorization is used or canceled"):
        function.call()


def test_signed_transfers_are_refused_in_fiat_tokens_words(anvil: Chain):
    payer, payee = anvil.new_account(), Account.create().address
    anvil.mint_usdc(payer.address, USDC)

    def refusal(text: str, *, signer=payer, high_s: bool = False, **changes: int) -> None:
        message = _authorization(anvil, payer.address, payee, USDC) | changes
        signed = _sign(anvil, signer, message)
        v, s = (55 - signed.v, ORDER - signed.s) if high_s else (signed.v, signed.s)
        with pytest.raises(ContractLogicError, match=text):
            _by_vrs(anvil, message, v, signed.r, s).call()

    now = anvil.w3.eth.get_block("latest")["timestamp"]
    refusal("FiatTokenV2: invalid signature", signer=Account.create())
    refusal("ECRecover: invalid signature 's' value", high_s=True)
    refusal("FiatTokenV2: authorization is expired", validBefore=now - 1)
    refusal("FiatTokenV2: authorization is not yet valid", validAfter=now + 3600)
    refusal("ERC20: transfer amount exceeds balance", value=2 * USDC)


def test_a_contract_wallet_signs_by_eip_1271(anvil: Chain):
    owner, payee = anvil.new_account(), Account.create().address
    wallet = anvil.create("SmartWallet", owner.address)
    anvil.mint_usdc(wallet.address, USDC)
    message = _authorization(anvil, wallet.address, payee, USDC)
    forged = bytes(_sign(anvil, Account.create(), message).signature)
    with pytest.raises(ContractLogicError, match="FiatTokenV2: invalid signature"):
        _by_bytes(anvil, message, forged).call()
    anvil.call(anvil.accounts[0], _by_bytes(anvil, message, bytes(_sign(anvil, owner, message).signature)))
    assert anvil.usdc.functions.balanceOf(payee).call() == USDC


def test_only_the_faucet_mints_and_sets_the_price(anvil: Chain):
    stranger = {"from": anvil.accounts[0].address}
    with pytest.raises(ContractLogicError, match="not the minter"):
        anvil.usdc.functions.mint(stranger["from"], 1).call(stranger)
    with pytest.raises(ContractLogicError, match="not the owner"):
        anvil.eth_usd.functions.setAnswer(1).call(stranger)
    with pytest.raises(ContractLogicError, match="already initialized"):
        anvil.axgt.functions.init("x", stranger["from"]).call(stranger)


def test_the_price_is_as_fresh_as_the_block_even_after_48_hours(anvil: Chain):
    before = anvil.eth_usd.functions.latestRoundData().call()
    anvil.increase_time(48 * 3600)
    block = anvil.w3.eth.get_block("latest")
    answer = anvil.eth_usd.functions.latestRoundData().call(block_identifier=block["hash"])
    assert answer[3] == block["timestamp"] >= before[3] + 48 * 3600
    assert answer[1] == before[1]
    old_round = answer[0]
    anvil.set_eth_usd(1_234_00000000)
    assert anvil.eth_usd.functions.latestRoundData().call()[:2] == [old_round + 1, 1_234_00000000]
    assert anvil.eth_usd.functions.getRoundData(old_round).call()[1] == before[1]


def test_multicall_reads_several_and_marks_the_one_that_fails(anvil: Chain):
    multicall = anvil.contract("Multicall3", anvil.deployment.multicall3)
    usdc, sender = anvil.deployment.usdc, anvil.accounts[0].address
    decimals = anvil.usdc.functions.decimals()._encode_transaction_data()
    mint = anvil.usdc.functions.mint(sender, 1)._encode_transaction_data()
    results = multicall.functions.aggregate3([(usdc, False, decimals), (usdc, True, mint)]).call()
    assert [ok for ok, _ in results] == [True, False]
    assert int.from_bytes(results[0][1]) == 6
    assert multicall.functions.getEthBalance(sender).call() == anvil.w3.eth.get_balance(sender) > 0
    with pytest.raises(ContractLogicError, match="Multicall3: call failed"):
        multicall.functions.aggregate3([(usdc, False, mint)]).call()


def test_the_forwarder_pays_in_every_awkward_way(anvil: Chain):
    forwarder, payer = anvil.create("Forwarder"), anvil.new_account()
    calls = forwarder.functions
    anvil.mint_usdc(forwarder.address, 10 * USDC)

    def paid(function, value: int) -> tuple[int, str]:
        to = Account.create().address
        receipt = anvil.receipt(anvil.call(payer, function(to), value))
        return anvil.w3.eth.get_balance(to), receipt["status"]

    assert paid(calls.forward, ETHER) == (ETHER, "0x1")
    assert paid(calls.bequeath, ETHER) == (ETHER, "0x1")
    assert paid(calls.swallow, ETHER) == (0, "0x1")
    assert paid(lambda to: calls.batch([to, to], [1, 2]), 3) == (3, "0x1")
    assert paid(lambda to: calls.both(to, anvil.deployment.usdc, USDC), ETHER) == (ETHER, "0x1")
    assert anvil.receipt(anvil.call(payer, calls.fail(), ETHER))["status"] == "0x0"


def test_a_reorganisation_replaces_blocks_and_drops_their_transactions(anvil: Chain):
    before = anvil.w3.eth.get_block("latest")["hash"]
    paid = anvil.pay(anvil.accounts[1], ETHER)
    raw = HexBytes(anvil.w3.eth.get_raw_transaction(HexBytes(paid))).to_0x_hex()
    anvil.mine(2)
    replaced = anvil.w3.eth.get_block("latest")["hash"]
    anvil.reorg(3)
    assert anvil.w3.eth.get_block("latest")["hash"] != replaced
    assert anvil.w3.eth.get_block(anvil.rpc.head() - 3)["hash"] == before
    assert anvil.receipt(paid) is None
    anvil.mine(2)
    anvil.reorg(2, [(raw, 1)])
    assert int(anvil.receipt(paid)["blockNumber"], 16) == anvil.rpc.head()


def test_every_recorded_contract_is_there(anvil: Chain):
    where = asdict(anvil.deployment)
    contracts = [name for name in where if name in RECORDED]
    assert sorted(contracts) == sorted(RECORDED)
    assert [name for name in contracts if anvil.rpc("eth_getCode", where[name], "latest") == "0x"] == []


def test_a_wallet_stands_where_its_factory_said_it_would(anvil: Chain):
    owner, salt = anvil.accounts[0], b"\x07" * 32
    factory = anvil.contract("WalletFactory", anvil.deployment.wallet_factory)
    where = factory.functions.addressOf(owner.address, salt).call()
    assert anvil.rpc("eth_getCode", where, "latest") == "0x"
    for _ in range(2):  # made once, found the second time
        assert (
            anvil.receipt(anvil.call(owner, factory.functions.create(owner.address, salt)))["status"] == "0x1"
        )
    assert anvil.contract("SmartWallet", where).functions.owner().call() == owner.address


def test_a_second_chain_is_another_one(anvil: Chain):
    with run_chain(chain_id=31337) as other:
        assert other.deployment.chain_id == 31337
        assert other.deployment.genesis_hash != anvil.deployment.genesis_hash
        payer, payee = other.accounts[0], Account.create().address
        other.pay(payer, 5, to=payee)
        assert other.w3.eth.get_balance(payee) == 5
        assert anvil.w3.eth.get_balance(payee) == 0


def test_only_its_owner_moves_a_price_source_or_a_fee(anvil: Chain):
    stranger = {"from": anvil.accounts[0].address}
    for function in (
        anvil.pool.functions.setPrice(0, 1),
        anvil.pool.functions.setLiquidity(0),
        anvil.pool.functions.forget(),
        anvil.sequencer.functions.setStatus(False),
        anvil.axgt_usd.functions.setRound(1, 1, 1),
        anvil.axgt.functions.setFee(1, True),
        anvil.axgt.functions.rebase(stranger["from"], 1),
    ):
        with pytest.raises(ContractLogicError, match=r"not the (owner|minter)"):
            function.call(stranger)
    with pytest.raises(ContractLogicError, match="already initialized"):
        anvil.pool.functions.init(stranger["from"], stranger["from"], 0, 1, 1, stranger["from"]).call(
            stranger
        )
