"""Nodes that are down, slow, behind, forgetful, or lie: the cursor stands still, nothing is lost or doubled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from deposits import node
from deposits.cases.registry import MINIMUM, case
from deposits.chain import DOLLAR, address
from deposits.node import Answer, Spoil
from deposits.scene import Play

TWO = {"chain": {"rpc_urls": ["http://node-a", "http://node-b"]}}
AGREED = {"chain": {**TWO["chain"], "agreement_above_gpu_minutes": 0}}
FOREIGN = "0x" + "77" * 32


def _for_a_while(name: str, spoil: Spoil, asset: str = "usdc") -> None:
    """The only node has a fault from before the payment until after its last confirmation."""

    @case(credited=1, name=name)
    def told(p: Play, _: str) -> Iterator[str]:
        yield "fault"
        p.chain.spoil("node-a", spoil)
        yield "pay"
        p.give("alice/1", "alice", asset, MINIMUM[asset])
        yield from p.mine(6)
        yield from p.watched()
        yield "well again"
        p.chain.spoil("node-a", None)
        yield from p.mine(1)


def _comes_and_goes(spoil: Spoil, every: int) -> Spoil:
    asked = itertools.count()

    def spoiled(ask: Answer, method: str, params: list[Any]) -> Any:
        faulty = next(asked) % every == 0
        return spoil(ask, method, params) if faulty else ask(method, params)

    return spoiled


def _other_genesis(said: Any) -> Any:
    return {**said, "hash": FOREIGN} if said and said["number"] == "0x0" else said


def _torn(said: Any) -> Any:
    return {**said, "parentHash": FOREIGN} if said and said["number"] != "0x0" else said


_for_a_while("node_is_down", node.down)
_for_a_while("node_is_slow", node.slow)
_for_a_while("node_is_overloaded", node.overloaded, "eth")
_for_a_while("node_fails_now_and_then", _comes_and_goes(node.down, 7), "eth")
_for_a_while("node_is_behind", node.behind(4), "eth")
_for_a_while("node_is_behind_now_and_then", _comes_and_goes(node.behind(2), 3))
_for_a_while("node_lost_its_logs", node.without_logs)
_for_a_while("node_cannot_read_logs", node.failing_at("eth_getLogs"))
_for_a_while("node_has_no_receipts", node.silent_about("eth_getTransactionReceipt"), "eth")
_for_a_while("node_has_no_blocks", node.silent_about("eth_getBlockByHash"))
_for_a_while("node_cannot_call_contracts", node.failing_at("eth_call"), "eth")
_for_a_while("node_says_it_is_another_chain", node.changing("eth_chainId", lambda _: "0x1"))
_for_a_while("node_has_another_genesis", node.changing("eth_getBlockByNumber", _other_genesis))
_for_a_while("node_tears_its_chain", node.changing("eth_getBlockByNumber", _torn))


@case("eth", "usdc", credited=1)
def node_keeps_little_state(p: Play, asset: str) -> Iterator[str]:
    """Price and tier are noted when the payment is first seen; what came too late is made up for afterwards."""
    yield "fault"
    p.chain.spoil("node-a", node.forgetful(3))
    yield "pay"
    p.give("bob/1", "bob", asset, 2 * MINIMUM[asset])
    yield from p.mine(8)


@case("eth", "usdc", credited=1, settings=TWO)
def first_node_is_down(p: Play, asset: str) -> Iterator[str]:
    yield "fault"
    p.chain.spoil("node-a", node.down)
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(7)


@case("eth", "usdc", credited=1, settings=TWO)
def first_node_is_behind(p: Play, asset: str) -> Iterator[str]:
    yield "fault"
    p.chain.spoil("node-a", node.behind(3))
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(7)


@case("eth", "usdc", credited=1, settings=TWO)
def nodes_take_turns_being_down(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    for _ in range(3):
        for name in ("node-a", "node-b"):
            yield "fault"
            p.chain.spoil(name, node.down)
            yield from p.mine(1)
            yield "well again"
            p.chain.spoil(name, None)
    yield from p.mine(2)


@case("usdc", "eth", credited=1, settings=AGREED)
def nodes_agree(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(7)


@case("usdc", "eth", credited=1, settings=AGREED)
def second_node_is_down_for_a_while(p: Play, asset: str) -> Iterator[str]:
    """Nothing is credited on one node's word alone; nothing is lost by waiting."""
    yield "fault"
    p.chain.spoil("node-b", node.down)
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(8)
    yield "well again"
    p.chain.spoil("node-b", None)
    yield from p.mine(1)


def _times_a_thousand(said: Any) -> Any:
    logs = said["logs"] if isinstance(said, dict) else said
    for log in logs or []:
        log["data"] = f"0x{int(log['data'], 16) * 1_000:064x}"
    return said


def _inflated(ask: Answer, method: str, params: list[Any]) -> Any:
    said = node.changing(method, lambda answer: answer)(ask, method, params)
    return (
        _times_a_thousand(said) if method in {"eth_getLogs", "eth_getTransactionReceipt"} and said else said
    )


def _invented(payer: str, token: str, revenue: str) -> Spoil:
    """A transfer that never was, in logs and receipt of a transaction of the liar's own."""

    def spoil(ask: Answer, method: str, params: list[Any]) -> Any:
        said = ask(method, params)
        if method == "eth_getTransactionReceipt" and said and said["from"] == payer:
            return {**said, "logs": [_log(said)]}
        if method == "eth_getLogs" and "blockHash" in params[0]:
            block = ask("eth_getBlockByHash", [params[0]["blockHash"], True])
            mine = [tx for tx in block["transactions"] if tx["from"] == payer]
            return [*said, *(_log({**tx, "transactionHash": tx["hash"]}) for tx in mine)]
        return said

    def _log(tx: dict[str, Any]) -> dict[str, Any]:
        padded = ["0x" + a[2:].lower().rjust(64, "0") for a in (payer, revenue)]
        return {
            "address": token.lower(),
            "topics": ["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef", *padded],
            "data": f"0x{10**6 * DOLLAR:064x}",
            "blockHash": tx["blockHash"],
            "blockNumber": tx["blockNumber"],
            "transactionHash": tx["transactionHash"],
            "transactionIndex": "0x0",
            "logIndex": "0x0",
            "removed": False,
        }

    return spoil


@case(credited=1, settings=AGREED)
def a_lying_node_makes_more_of_a_payment(p: Play, _: str) -> Iterator[str]:
    yield "lie"
    p.chain.spoil("node-a", _inflated)
    yield "pay"
    p.token("alice/1", "alice", "usdc", MINIMUM["usdc"])
    yield from p.mine(7)
    yield "honest"
    p.chain.spoil("node-a", None)
    yield from p.mine(1)


@case(credited=0, settings=AGREED)
def a_lying_node_invents_a_payment(p: Play, _: str) -> Iterator[str]:
    yield "lie"
    p.chain.spoil("node-a", _invented(address("mallory"), p.chain.deployment.usdc.lower(), p.chain.revenue))
    yield "pay somebody else"
    p.pay("mallory/1", "mallory", 1, to=address("carol"))
    yield from p.mine(7)
    yield "honest"
    p.chain.spoil("node-a", None)
    yield from p.mine(1)
