"""Nodes that lie, hide or invent: what is read is true or not read."""

from __future__ import annotations

import itertools
import json
from contextlib import closing, suppress

import pytest
from chainkit import ETHER, Chain
from hostile_node import changed, error, forging, result
from reader_kit import read, settings_for

from controller.adapters.chain import Web3Chain
from controller.errors import ChainUnavailable, NodesDisagree, PriceUnavailable, StateForgotten
from controller.services.ports import BlockMoney

pytestmark = pytest.mark.integration
USDC = 1_000_000
SECRET = "secret-api-key"


def bigger(log: dict) -> dict:
    return log | {"data": "0x" + f"{int(log['data'], 16) * 1000:064x}"}


def all_bigger(receipt: dict) -> dict:
    return receipt | {"logs": [bigger(log) for log in receipt["logs"]]}


def richer(block: dict) -> dict:
    txs = [tx | {"value": hex(10**21)} if isinstance(tx, dict) else tx for tx in block["transactions"]]
    return block | {"transactions": txs}


LIES = {
    "no logs": changed("eth_getLogs", lambda _: []),
    "larger amounts in receipts": changed("eth_getTransactionReceipt", all_bigger),
    "failed receipts": changed("eth_getTransactionReceipt", lambda r: r | {"status": "0x0"}),
    "larger values": changed("eth_getBlockByHash", richer),
    "balances that never change": changed("eth_getBalance", lambda _: "0x0"),
    "no transactions": changed("eth_getBlockByHash", lambda b: b | {"transactions": []}),
    "no calls": changed("debug_traceTransaction", lambda tree: tree | {"calls": []}),
    "other payers": changed(
        "debug_traceTransaction",
        lambda tree: json.loads(json.dumps(tree).replace(tree["to"][2:], "ab" * 20)),
    ),
}


@pytest.fixture(scope="module")
def paid(anvil: Chain):
    """A block with USDC, direct ETH and ETH through a contract, and the truth about it."""
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    anvil.mint_usdc(payer.address, USDC)
    with anvil.paused_mining():
        anvil.call(payer, anvil.usdc.functions.transfer(to, USDC))
        anvil.pay(payer, 5)
        anvil.call(payer, anvil.forwarder.functions.forward(to), ETHER)
        anvil.mine()
    with closing(Web3Chain(settings_for(anvil))) as reader:
        block = reader.head()
        truth = reader.payments_in(block)
    assert [p.amount for p in truth.payments] == [USDC, 5, ETHER]
    return block, truth


@pytest.mark.parametrize("lie", LIES)
def test_one_liar_of_three_changes_nothing_and_one_of_two_never_has_its_way(nodes, made, paid, lie):
    block, truth = paid
    for place in range(3):
        for node in nodes:
            node.heal()
        nodes[place].faults = [LIES[lie]]
        readers = made(*nodes), made(*nodes[:2]), made(*nodes).agreeing()
        assert readers[0].payments_in(block) == truth
        assert readers[2].payments_in(block) == truth
        with suppress(ChainUnavailable):
            assert readers[1].payments_in(block) == truth


def test_a_node_that_hides_a_payment_through_a_contract_is_found_out(anvil, nodes, made):
    """Nothing but the balance shows it; nodes that say another balance contradict each other."""
    to = anvil.deployment.revenue_wallet
    anvil.call(anvil.accounts[0], anvil.forwarder.functions.forward(to), 9)
    hides = [LIES["balances that never change"]]
    for liar in (0, 1):
        nodes[liar].faults, nodes[1 - liar].faults = hides, []
        for reader in (made(*nodes[:2]), made(*nodes[:2]).agreeing()):
            with pytest.raises(NodesDisagree):
                reader.payments_in(reader.head())
        reader = made(*nodes)
        assert [p.amount for p in reader.payments_in(reader.head()).payments] == [9]


def test_an_invented_log_is_never_a_payment(anvil, nodes, made, paid):
    block, truth = paid

    def invent(logs: list[dict]) -> list[dict]:
        return [*logs, *(log | {"logIndex": "0x7", "data": "0x" + "f" * 64} for log in logs)]

    nodes[0].faults = [changed("eth_getLogs", invent)]
    assert made(nodes[0]).payments_in(block).payments == truth.payments
    empty = anvil.rpc("eth_getBlockByNumber", "0x1", False)

    def elsewhere(logs: list[dict]) -> list[dict]:
        return [log | {"blockHash": empty["hash"]} for log in logs]

    nodes[0].faults = [changed("eth_getLogs", elsewhere)]
    with pytest.raises(ChainUnavailable):
        made(nodes[0]).payments_in(block)


@pytest.mark.parametrize("where", [1, 3, 5])
def test_another_hash_for_a_block_stops_the_reading_until_a_third_node_decides(anvil, nodes, made, where):
    start = anvil.rpc.head()
    anvil.mine(5)
    forged = "0x" + "5a" * 32

    nodes[0].faults = [forging(start + where, forged)]
    for _ in range(3):
        assert forged not in {block.hash for block, _ in whatever(made(nodes[0], nodes[1]), start)}
    reader = made(*nodes)
    whatever(reader, start)
    assert [block.number for block, _ in read(reader, start)] == list(range(start + 1, start + 6))


def whatever(reader: Web3Chain, start: int) -> list[tuple]:
    """All that could be read before something was wrong."""
    found = []
    with suppress(ChainUnavailable):
        head = reader.head()
        steps = reader.read_on(reader.block(start), head)
        while (step := next(steps, None)) is not None:
            found.append(step)
    return found


def test_a_chain_made_up_above_the_true_head_is_not_followed(anvil, nodes, made):
    """The liar alone knows these blocks; the other node is waited for, and then says no."""
    start = anvil.rpc.head()
    names = {start + n: "0x" + f"{n:02x}" * 32 for n in range(1, 9)}

    def forge(question, ask):
        asked = question["params"][0] if question["params"] else ""
        if question["method"] == "eth_getBlockByHash":
            number = next((n for n, name in names.items() if name == asked), None)
        elif question["method"] == "eth_getBlockByNumber":
            number = start + 8 if asked == "latest" else int(asked, 16)
        else:
            return None
        if number not in names:
            return None
        true = {**question, "method": "eth_getBlockByNumber", "params": [hex(start), False]}
        base = ask(true)["result"]
        parent = names.get(number - 1, base["hash"])
        empty = {"transactions": [], "logsBloom": "0x" + "0" * 512}
        made_up = {"number": hex(number), "hash": names[number], "parentHash": parent}
        return result(question, base | made_up | empty)

    quiet = {
        "eth_getLogs": [],
        "eth_getBalance": "0x0",
        "eth_getTransactionCount": "0x0",
        "eth_getCode": "0x",
    }
    nodes[0].faults = [forge, *(changed(method, lambda _, said=said: said) for method, said in quiet.items())]
    assert len(whatever(made(nodes[0]), start)) == 8  # one node alone would be believed
    reader = made(nodes[0], nodes[1])
    for refusal in (ChainUnavailable, ChainUnavailable, NodesDisagree):
        with pytest.raises(refusal):
            list(reader.read_on(reader.block(start), reader.head()))
        anvil.mine(4)
    assert whatever(made(*nodes), start) == []
    reader = made(*nodes)
    whatever(reader, start)
    assert len(read(reader, start)) == 12


def test_prices_and_holdings_are_compared_too(anvil, nodes, made):
    holder = anvil.accounts[4].address
    anvil.mint_axgt(holder, 7)
    block = anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    truth = made(nodes[1])
    nodes[0].faults = [
        changed("eth_call", lambda data: data[:-1] + "9" if len(data) < 70 else data[:70] + "9" + data[71:])
    ]
    for ask in (
        lambda r: r.eth_usd(block),
        lambda r: r.usdc_usd(block),
        lambda r: r.axgt_usd(block),
        lambda r: r.axgt_balance(holder, block),
    ):
        assert ask(made(*nodes)) == ask(truth)
        with pytest.raises(NodesDisagree):
            ask(made(nodes[0], nodes[1]))
        with pytest.raises(NodesDisagree):
            ask(made(nodes[0], nodes[1]).agreeing())
    nodes[0].faults = [error(3, "execution reverted", "eth_call")]
    with pytest.raises(NodesDisagree):
        made(nodes[0], nodes[1]).eth_usd(block)
    nodes[1].faults = nodes[0].faults
    with pytest.raises(PriceUnavailable):
        made(nodes[0], nodes[1]).eth_usd(block)
    with pytest.raises(PriceUnavailable):
        made(nodes[0], nodes[1]).agreeing().eth_usd(block)


def test_agreement_needs_two_nodes_that_answer(nodes, made, paid):
    block, truth = paid
    with pytest.raises(NodesDisagree):
        made(nodes[0]).agreeing().payments_in(block)
    nodes[1].status = 500
    with pytest.raises(NodesDisagree):
        made(nodes[0], nodes[1]).agreeing().payments_in(block)
    with pytest.raises(NodesDisagree):
        made(nodes[0], nodes[0]).agreeing().payments_in(block)
    agreeing = made(*nodes).agreeing()
    assert agreeing.payments_in(block) == truth
    assert agreeing.payments_of(truth.payments[0].tx_hash) == truth.payments[:1]
    assert agreeing.block(block.number) == block


def test_the_node_that_can_trace_or_remember_completes_the_other(nodes, made, paid):
    block, truth = paid
    refusals = [
        error(
            -32601,
            "the method debug_traceTransaction does not exist/is not available",
            "debug_traceTransaction",
        ),
        error(
            -32000,
            "missing trie node",
            "eth_getBalance",
            "eth_getTransactionCount",
            "eth_getCode",
            "eth_call",
        ),
    ]
    for refusal, (one, two) in itertools.product(refusals, (nodes[:2], nodes[1::-1])):
        one.heal()
        two.heal()
        one.faults = [refusal]
        assert made(one, two).payments_in(block) == truth
        assert made(one, two).agreeing().payments_in(block) == truth
    nodes[0].faults = nodes[1].faults = refusals[:1]
    assert made(*nodes[:2]).payments_in(block) == BlockMoney(truth.payments[:2], ETHER)
    nodes[0].faults = nodes[1].faults = refusals[1:]
    with pytest.raises(StateForgotten):
        made(*nodes[:2]).eth_usd(block.hash)
    nodes[1].heal()
    assert made(*nodes[:2]).eth_usd(block.hash).answer > 0
