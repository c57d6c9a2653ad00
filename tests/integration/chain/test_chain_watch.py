"""The watcher on nodes that lie or break: its cursor stays, nobody is credited for a lie, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from chainkit import ETHER, Chain, run_chain
from fakes import make_deps
from hostile_node import HostileNode, changed, error, hostile, lagging
from reader_kit import settings_for

from controller.adapters.chain import Web3Chain
from controller.errors import ChainUnavailable
from controller.models import ChainCursor
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.money import ledger

pytestmark = pytest.mark.integration
HOUR = 3_600_000


@pytest.fixture
def anvil() -> Iterator[Chain]:
    with run_chain() as chain:
        yield chain


@pytest.fixture
def nodes(anvil: Chain) -> Iterator[list[HostileNode]]:
    with ExitStack() as opened:
        yield [opened.enter_context(hostile(anvil.rpc_url)) for _ in range(2)]


@pytest.fixture
def deps(database, anvil: Chain, nodes: list[HostileNode]) -> Iterator[Deps]:
    settings = settings_for(anvil, chain={"rpc_urls": [node.url for node in nodes]})
    seconds = iter(range(10**9))
    with closing(Web3Chain(settings, monotonic=lambda: float(next(seconds)))) as reader:
        yield make_deps(database, reader, settings=settings)


def watch(deps: Deps) -> None:
    while deposits.watch_once(deps):
        pass


def cursor(deps: Deps) -> tuple[int, str]:
    with deps.database.begin() as db:
        found = db.get_one(ChainCursor, 84532)
        assert found.stopped_why is None
        return found.block_number, found.block_hash


def has(deps: Deps, wallet: str) -> int:
    with deps.database.begin() as db:
        return ledger.balance(db, wallet).gpu_ms


FORGED = "0x" + "5a" * 32
LIES = {
    "hides every log": changed("eth_getLogs", lambda _: []),
    "hides every change of a balance": changed("eth_getBalance", lambda _: "0x0"),
    "names other blocks": changed("eth_getBlockByNumber", lambda b: b | {"hash": FORGED} if b else b),
    "multiplies what was paid": changed(
        "eth_getTransactionReceipt",
        lambda r: r | {"logs": [log | {"data": "0x" + "00" * 28 + "ffffffff"} for log in r["logs"]]},
    ),
    "says that payments failed": changed("eth_getTransactionReceipt", lambda r: r | {"status": "0x0"}),
    "refuses": error(-32005, "limit exceeded"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("place", [0, 1])
def test_a_lie_moves_nothing_or_nothing_but_the_truth(deps, anvil, nodes, lie, place):
    payer, to = anvil.accounts[0], anvil.deployment.revenue_wallet
    wallet = anvil.forwarder.address
    anvil.mint_usdc(payer.address, 10**6)
    watch(deps)
    anvil.call(payer, anvil.usdc.functions.transfer(to, 10**6))
    anvil.call(payer, anvil.forwarder.functions.forward(to), ETHER // 2_000)
    anvil.mine(6)
    nodes[place].faults = [LIES[lie]]
    for _ in range(4):
        before = cursor(deps)
        try:
            watch(deps)
        except ChainUnavailable:
            assert cursor(deps) == before
        assert has(deps, payer.address) in (0, HOUR)
        assert has(deps, wallet) in (0, 2 * HOUR)
    nodes[place].heal()
    for _ in range(4):
        try:
            watch(deps)
        except ChainUnavailable:
            continue
    assert (has(deps, payer.address), has(deps, wallet)) == (HOUR, 2 * HOUR)
    assert cursor(deps) == (anvil.rpc.head(), anvil.rpc("eth_getBlockByNumber", "latest", False)["hash"])
    assert ledger.audit(deps) == []


@pytest.mark.parametrize("forged", ["the head", "a block below it"])
def test_one_nodes_word_for_another_block_takes_no_credit_back(deps, anvil, nodes, forged):
    payer = anvil.accounts[0]
    anvil.pay(payer, ETHER // 2_000)
    anvil.mine(5)
    watch(deps)
    assert has(deps, payer.address) == 2 * HOUR
    if forged == "a block below it":
        anvil.mine()
    for place in (0, 1):
        nodes[place].faults = [LIES["names other blocks"]]
        for _ in range(4):
            try:
                watch(deps)
            except ChainUnavailable:
                continue
        assert has(deps, payer.address) == 2 * HOUR
        nodes[place].heal()
    assert [n.kind for n in ledger.statement(deps, payer.address, 9)] == ["deposit"]


def test_a_node_that_lags_delays_and_changes_nothing(deps, anvil, nodes):
    payer = anvil.accounts[0]
    watch(deps)
    nodes[1].faults = [lagging(anvil.rpc.head())]
    anvil.pay(payer, ETHER // 2_000)
    anvil.mine(5)
    with pytest.raises(ChainUnavailable):
        watch(deps)
    assert has(deps, payer.address) == 0
    nodes[1].heal()
    watch(deps)
    assert has(deps, payer.address) == 2 * HOUR
