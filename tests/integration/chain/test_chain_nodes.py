"""Several nodes of one chain, some of them broken, slow, behind or lying: what is read is true or not read."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from chainkit import free_port, run_chain
from hostile_node import HostileNode, changed, error, forging, hostile, lagging
from reader_kit import read, settings_for

from controller.adapters import chain_node
from controller.adapters.chain import Web3Chain
from controller.errors import ChainUnavailable, NodesDisagree

pytestmark = pytest.mark.integration
USDC = 1_000_000
SECRET = "secret-api-key"


DEEP = b"[" * 100_000
BROKEN = {
    "429": (429, b'{"error":"slow down"}'),
    "500": (500, b"oops"),
    "502": (502, b""),
    "redirect": (302, b""),
    "nothing": (200, b""),
    "no JSON": (200, b"<html>maintenance</html>"),
    "cut off": (200, b'{"jsonrpc":"2.0","id":1,"resu'),
    "a text": (200, b'"yes"'),
    "numbers": (200, b"[1, 2, 3]"),
    "another id": (200, b'{"jsonrpc":"2.0","id":987654321,"result":"0x1"}'),
    "no result": (200, b'{"jsonrpc":"2.0","id":1}'),
    "another form": (200, b'{"jsonrpc":"2.0","id":1,"result":{"number":7,"hash":["x"]}}'),
    "a large number": (200, b'{"jsonrpc":"2.0","id":1,"result":"0x' + b"f" * 9_000 + b'"}'),
    "too deep": (200, DEEP),
    "an error": (200, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}'),
    "a plain error": (200, b'{"jsonrpc":"2.0","id":1,"error":"no"}'),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_node_is_passed_over_and_left_alone_for_a_while(nodes, made, time, caplog, fault):
    bad, good = nodes[:2]
    head = made(good).head().number
    bad.status, bad.body = BROKEN[fault]
    reader = made(bad, good)
    reader.genesis_hash()
    assert reader.head().number == head
    assert len(bad.asked) <= 2
    seen = len(bad.asked)
    assert reader.eth_usd(reader.head().hash).answer > 0
    assert len(bad.asked) == seen
    for _ in range(3):  # it is asked again after a while, and rests longer each time
        time.s += 3_600
        reader.head()
        assert len(bad.asked) > seen
        seen = len(bad.asked)
    with pytest.raises(ChainUnavailable) as refused:
        made(bad).head()
    assert SECRET not in caplog.text + str(refused.value)
    assert bad.url.split("/")[2] not in caplog.text + str(refused.value)


def test_a_node_that_comes_back_is_the_first_again(nodes, made, time):
    bad, good = nodes[:2]
    reader = made(bad, good)
    bad.status = 503
    reader.head()
    bad.heal()
    bad.asked.clear()
    reader.head()
    assert bad.asked == []
    time.s += 1
    reader.head()
    good.asked.clear()
    reader.head()
    assert (bad.methods()[-1], good.asked) == ("eth_getBlockByNumber", [])


def test_a_rest_is_twice_as_long_each_time_and_a_minute_at_most(nodes, made, time):
    reader = made(nodes[0], nodes[1])
    nodes[0].status = 500
    rests = []
    for _ in range(12):
        reader.head()
        rests.append(reader._pool.nodes[0].rests_until - time.s)
        time.s += rests[-1]
    assert rests == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_what_a_node_says_in_an_error_is_told_without_its_address(nodes, made, caplog):
    bad = nodes[0]
    bad.faults = [error(-32000, f"bad key {SECRET} at {bad.url}\nnext line http://other/x")]
    with pytest.raises(ChainUnavailable) as refused:
        made(bad).head()
    told = caplog.text + str(refused.value)
    assert "bad key" in told
    assert SECRET not in told
    assert "http" not in told
    assert "\nnext" not in told


def test_a_dead_address_and_no_address_at_all(made, nodes):
    dead = HostileNode(f"http://127.0.0.1:{free_port()}/{SECRET}", "")
    odd = HostileNode("not an address", "")
    assert made(dead, odd, nodes[0]).head().number > 0
    for node in (dead, odd):
        with pytest.raises(ChainUnavailable):
            made(node).head()


def test_an_answer_without_end_is_cut_off(nodes, made, monkeypatch):
    bad, good = nodes[:2]
    monkeypatch.setattr(chain_node, "ANSWER_BYTES", 50_000)
    bad.body = b'{"jsonrpc":"2.0","id":1,"result":"' + b"0" * 10_000_000 + b'"}'
    assert made(bad, good).head().number > 0
    with pytest.raises(ChainUnavailable):
        made(bad).head()


def test_an_answer_in_drops_is_given_up(anvil, nodes, monkeypatch):
    """Each byte comes in time, the whole does not: the clock here is the real one."""
    bad, good = nodes[:2]
    monkeypatch.setattr(chain_node, "ANSWER_S", 0.2)
    bad.body, bad.drip_s = b" " * 10_000, 0.01
    settings = settings_for(anvil, chain={"rpc_urls": [bad.url, good.url]})
    with closing(Web3Chain(settings)) as reader:
        assert reader.head().number == anvil.rpc.head()


def test_a_silent_node_is_given_up(nodes, made, monkeypatch):
    bad, good = nodes[:2]
    monkeypatch.setattr(chain_node, "SILENCE_S", 0.1)
    bad.body, bad.drip_s = b"{}", 5
    assert made(bad, good).head().number > 0


def test_a_slow_node_is_asked_after_the_others_for_a_while(nodes, made, time):
    def slow(question, ask):
        time.s += 3

    nodes[0].faults = [slow]
    reader = made(*nodes)
    reader.head()
    nodes[0].asked.clear()
    for _ in range(3):
        block = reader.head()
        assert reader.payments_in(block) == reader.payments_in(block)
    assert nodes[0].asked == []
    nodes[0].heal()
    time.s += 60
    reader.head()
    assert nodes[0].asked != []


def test_a_node_of_another_chain_is_never_believed(anvil, nodes, made):
    with run_chain(chain_id=31337) as other, hostile(other.rpc_url) as foreign:
        other.mine(anvil.rpc.head() + 50)
        reader = made(foreign, nodes[0])
        assert reader.genesis_hash() == anvil.deployment.genesis_hash
        assert reader.head().number == anvil.rpc.head()
        assert set(foreign.methods()) <= {"eth_chainId", "eth_getBlockByNumber"}
        with pytest.raises(ChainUnavailable, match="chain id"):
            made(foreign).genesis_hash()
        # With our id, but another genesis: alone it is told, so that the watcher can stop.
        foreign.faults = [changed("eth_chainId", lambda _: hex(anvil.deployment.chain_id))]
        assert made(foreign).genesis_hash() == other.deployment.genesis_hash
        assert made(foreign, nodes[0]).genesis_hash() == anvil.deployment.genesis_hash
        with pytest.raises(ChainUnavailable, match="genesis"):
            made(foreign).head()


def test_a_chain_swapped_behind_the_same_address_is_noticed(anvil, nodes, made):
    reader = made(nodes[0])
    assert reader.genesis_hash() == anvil.deployment.genesis_hash
    nodes[0].faults = [changed("eth_getBlockByNumber", lambda b: b | {"hash": "0x" + "77" * 32})]
    assert reader.genesis_hash() == "0x" + "77" * 32


def test_nodes_that_take_few_questions_at_once_or_one_are_asked_so(anvil, nodes, made):
    start = anvil.rpc.head()
    anvil.mine(40)
    for most in (1, 7):
        nodes[0].heal()
        nodes[0].batches = most
        assert len(read(made(nodes[0]), start)) == anvil.rpc.head() - start
    nodes[0].heal()
    nodes[0].body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}'
    with pytest.raises(ChainUnavailable):
        made(nodes[0]).block(1)


def test_one_error_for_all_questions_means_that_they_were_too_many(nodes, made, monkeypatch):
    def one_error(asked):
        refused = [{"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "too many"}}]
        return (200, json.dumps(refused).encode()) if isinstance(asked, list) else plain(asked)

    plain = nodes[0].respond
    monkeypatch.setattr(nodes[0], "respond", one_error)
    reader = made(nodes[0])
    head = reader.head()
    assert read(reader, head.number - 3)[-1][0] == head


def test_a_node_that_refuses_long_ranges_is_asked_for_shorter_ones(anvil, nodes, made):
    start, payer = anvil.rpc.head(), anvil.accounts[0]
    anvil.mint_usdc(payer.address, 3)
    for _ in range(3):
        anvil.mine(100)
        anvil.call(payer, anvil.usdc.functions.transfer(anvil.deployment.revenue_wallet, 1))

    def short_only(question, _):
        about = question["params"][0] if question["method"] == "eth_getLogs" else {}
        if "toBlock" in about and int(about["toBlock"], 16) - int(about["fromBlock"], 16) >= 50:
            return error(-32602, "query exceeds max block range 50")(question, _)
        return None

    nodes[0].faults = [short_only]
    found = [p.amount for _, money in read(made(nodes[0]), start) for p in money.payments]
    assert found == [1, 1, 1]


def test_one_snapshot_is_one_node(anvil, nodes, made, time):
    reader = made(nodes[0], nodes[1])
    head = reader.head()
    nodes[0].status = 500
    with pytest.raises(ChainUnavailable):
        reader.block(head.number)
    assert nodes[1].methods().count("eth_getBlockByNumber") <= 2  # looked at for its head only
    assert reader.head().number == head.number
    assert reader.block(head.number) == head


def test_a_forged_block_below_the_head_is_no_reorganisation(anvil, nodes, made):
    """One node's word for another block would take credits back: a second is asked, and a third decides."""
    anvil.mine(3)
    number = anvil.rpc.head() - 1
    truth = made(nodes[1]).block(number)
    nodes[0].faults = [forging(number, "0x" + "5a" * 32)]
    reader = made(*nodes[:2])
    reader.head()
    for _ in range(2):
        with pytest.raises(NodesDisagree):
            reader.block(number)
    reader = made(*nodes)
    reader.head()
    with pytest.raises(ChainUnavailable):  # the liar is found out; the next snapshot is another node's
        reader.block(number)
    reader.head()
    assert reader.block(number) == truth


def test_final_is_what_two_nodes_call_final(anvil, nodes, made):
    anvil.mine(120)
    truth = made(nodes[1]).finalized_number()
    for number in (truth + 40, 0):
        nodes[0].faults = [finals(number)]
        assert made(*nodes).finalized_number() == truth
        assert made(*nodes[:2]).finalized_number() <= truth


def test_a_chain_without_finality_has_nothing_final_and_keeps_its_node(nodes, made):
    def refuse(question, _):
        final = question["method"] == "eth_getBlockByNumber" and question["params"][0] == "finalized"
        return error(-32602, "unknown block tag")(question, _) if final else None

    nodes[0].faults = [refuse]
    reader = made(nodes[0])
    assert reader.finalized_number() == -1
    assert not reader._pool.nodes[0].is_resting


def finals(number: int):
    def fault(question, ask):
        if question["method"] == "eth_getBlockByNumber" and question["params"][0] == "finalized":
            return ask({**question, "params": [hex(number), False]})
        return None

    return fault


def test_a_node_that_stands_still_is_left_for_one_that_moves(anvil, nodes, made, time):
    stuck, good = nodes[:2]
    reader = made(stuck, good)
    reader.head()
    stuck.faults = [lagging(anvil.rpc.head())]
    anvil.mine(30)
    time.s += 6
    assert reader.head().number == anvil.rpc.head()


def test_a_second_node_that_is_just_behind_is_waited_for_and_one_that_is_stuck_is_not(
    anvil, nodes, made, time
):
    first, second = nodes[:2]
    reader = made(first, second)
    reader.head()
    second.faults = [lagging(anvil.rpc.head())]
    tx = anvil.pay(anvil.accounts[0], 5)
    head = reader.head()
    with pytest.raises(ChainUnavailable):
        reader.payments_in(head)
    second.heal()
    assert [p.tx_hash for p in reader.payments_in(head).payments] == [tx]
    second.faults = [lagging(head.number)]
    anvil.pay(anvil.accounts[0], 6)
    for _ in range(2):
        with pytest.raises(ChainUnavailable):
            reader.payments_in(reader.head())
        time.s += 59
    time.s += 2
    assert [p.amount for p in reader.payments_in(reader.head()).payments] == [6]
