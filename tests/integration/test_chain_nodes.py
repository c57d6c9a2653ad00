"""Several nodes of one chain, some of them broken, slow, behind or lying: what is read is true or not read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from chainkit import ETHER, Chain, anvil_fixture, free_port, run_chain  # noqa: F401
from hostile_node import HostileNode, changed, error, hostile, lagging, result
from reader_kit import read, settings_for

from controller.adapters import chain_node
from controller.adapters.chain import Web3Chain
from controller.errors import ChainUnavailable, NodesDisagree, PriceUnavailable, StateForgotten
from controller.services.ports import BlockMoney

pytestmark = pytest.mark.integration
USDC = 1_000_000
SECRET = "secret-api-key"


class Time:
    """A monotonic clock that stands until it is set."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module")
def proxies(anvil: Chain) -> Iterator[list[HostileNode]]:
    with ExitStack() as opened:
        yield [opened.enter_context(hostile(anvil.rpc_url)) for _ in range(3)]


@pytest.fixture
def nodes(proxies: list[HostileNode]) -> list[HostileNode]:
    for node in proxies:
        node.heal()
        node.asked.clear()
    return proxies


@pytest.fixture
def made(anvil: Chain, time: Time) -> Iterator:
    """Makes a reader of some nodes."""
    with ExitStack() as opened:

        def make(*nodes: HostileNode, **sections) -> Web3Chain:
            chain = {**sections.pop("chain", {}), "rpc_urls": [node.url for node in nodes]}
            settings = settings_for(anvil, chain=chain, **sections)
            return opened.enter_context(closing(Web3Chain(settings, monotonic=time)))

        yield make


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


def forging(number: int, name: str):
    def forge(block: dict) -> dict:
        return block | {"hash": name} if int(block["number"], 16) == number else block

    return changed("eth_getBlockByNumber", forge)


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
