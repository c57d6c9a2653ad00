"""Money that moves through contracts: several payments in one transaction, inner frames, undone frames, wills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deposits.cases.payments import answered
from deposits.cases.registry import ALL, MINIMUM, case
from deposits.chain import DOLLAR, ETHER, address, call_data
from deposits.scene import Play


def forward(p: Play, name: str, function: str, *arguments: Any, wei: int = 0, sender: str = "alice") -> None:
    """Call the Forwarder, which pays in its own way."""
    where = p.chain.deployment.forwarder
    sent = p.chain.call(sender, where, "Forwarder", function, *arguments, wei=wei)
    p.publish(f"{sender}/{name}", sent)


def fill(p: Play, asset: str, units: int) -> None:
    """Give the Forwarder tokens to pay with."""
    token = {"usdc": p.chain.deployment.usdc, "axgt": p.chain.deployment.axgt}[asset]
    kind = {"usdc": "MockUsdc", "axgt": "Axgt"}[asset]
    p.chain.call("whale", token, kind, "transfer", p.chain.deployment.forwarder.lower(), units)


@case(credited=2)
def eth_and_usdc_in_one_transaction(p: Play, _: str) -> Iterator[str]:
    yield "fill"
    fill(p, "usdc", 7 * DOLLAR)
    yield from p.mine(1)
    yield "pay"
    forward(p, "1", "both", p.chain.revenue, p.chain.deployment.usdc, 7 * DOLLAR, wei=ETHER)
    yield from p.mine(6)


@case("usdc", "axgt", credited=3)
def three_logs_in_one_transaction(p: Play, asset: str) -> Iterator[str]:
    units = [MINIMUM[asset], 2 * MINIMUM[asset], 3 * MINIMUM[asset]]
    token = {"usdc": p.chain.deployment.usdc, "axgt": p.chain.deployment.axgt}[asset]
    yield "fill"
    fill(p, asset, sum(units))
    yield from p.mine(1)
    yield "pay"
    forward(p, "1", "tokens", token, [p.chain.revenue] * 3, units)
    yield from p.mine(6)


@case("usdc", credited=3)
def equal_logs_in_one_transaction(p: Play, asset: str) -> Iterator[str]:
    """Three times the very same log: only its place tells them apart."""
    yield "fill"
    fill(p, asset, 3 * DOLLAR)
    yield from p.mine(1)
    yield "pay"
    forward(p, "1", "tokens", p.chain.deployment.usdc, [p.chain.revenue] * 3, [DOLLAR] * 3)
    yield from p.mine(6)


@case("usdc", credited=1)
def logs_for_others_in_between(p: Play, asset: str) -> Iterator[str]:
    yield "fill"
    fill(p, asset, 6 * DOLLAR)
    yield from p.mine(1)
    to = [address("carol"), p.chain.revenue, address("bob")]
    yield "pay"
    forward(p, "1", "tokens", p.chain.deployment.usdc, to, [DOLLAR, 2 * DOLLAR, 3 * DOLLAR])
    yield from p.mine(6)


@case(credited=1)
def eth_through_a_contract(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    forward(p, "1", "forward", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)


@case(credited=3)
def three_frames_in_one_transaction(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    parts = [ETHER, 2 * ETHER, 2 * ETHER]
    forward(p, "1", "batch", [p.chain.revenue] * 3, parts, wei=sum(parts))
    yield from p.mine(6)


@case(credited=1)
def eth_from_nine_frames_down(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    forward(p, "1", "deep", p.chain.revenue, 9, wei=ETHER)
    yield from p.mine(6)


@case(check=answered("not_to_revenue_wallet"))
def swallowed_by_an_undone_frame(p: Play, _: str) -> Iterator[str]:
    """The innermost payment succeeds, the frame around it reverts, the transaction succeeds."""
    yield "pay"
    forward(p, "1", "swallow", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)


@case(credited=2)
def one_of_three_frames_is_undone(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    forward(p, "1", "mixed", p.chain.revenue, wei=4 * ETHER)
    yield from p.mine(6)


@case()
def frames_that_move_nothing(p: Play, _: str) -> Iterator[str]:
    """delegatecall, staticcall and callcode carry a value in their trace and pay nobody."""
    yield "pay"
    forward(p, "1", "noise", p.chain.revenue, wei=ETHER)
    forward(p, "2", "overspend", p.chain.revenue, wei=ETHER, sender="carol")
    yield from p.mine(6)


@case(credited=2)
def direct_and_inner_eth_in_one_block(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("carol/1", "carol", ETHER)
    forward(p, "1", "forward", p.chain.revenue, wei=2 * ETHER)
    yield from p.mine(6)


@case(credited=1)
def inner_eth_mined_again(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    forward(p, "1", "forward", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(6, [(p.sent["alice/1"], 3)])
    yield from p.mine(3)


@case()
def inner_eth_gone(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    forward(p, "1", "forward", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)
    yield from p.watched()
    yield "reorg"
    p.chain.reorg(6)
    yield from p.mine(3)


@case("eth", "usdc", credited=1)
def smart_wallet_pays(p: Play, asset: str) -> Iterator[str]:
    """A contract wallet is its own customer; its owner only signs."""
    wallet = p.chain.place("SmartWallet", "maker", address("alice"))
    yield "fill"
    if asset == "eth":
        p.chain.send("whale", wallet, 3 * ETHER)
        to, wei, data = p.chain.revenue, ETHER, b""
    else:
        p.chain.call("whale", p.chain.deployment.usdc, "MockUsdc", "transfer", wallet, 5 * DOLLAR)
        to, wei = p.chain.deployment.usdc, 0
        data = bytes.fromhex(call_data("MockUsdc", "transfer", p.chain.revenue, 5 * DOLLAR)[2:])
    yield from p.mine(1)
    yield "pay"
    p.publish("alice/1", p.chain.call("alice", wallet, "SmartWallet", "execute", to, wei, data))
    yield from p.mine(6)


@case("usdc", "axgt", credited=1)
def relayed(p: Play, asset: str) -> Iterator[str]:
    """Somebody else sends the transaction; the payer is who the tokens came from."""
    token = {"usdc": p.chain.deployment.usdc, "axgt": p.chain.deployment.axgt}[asset]
    kind = {"usdc": "MockUsdc", "axgt": "Axgt"}[asset]
    yield "allow"
    p.chain.call("whale", token, kind, "approve", p.chain.deployment.forwarder.lower(), 10**30)
    yield from p.mine(1)
    yield "pay"
    pull = (token, address("whale"), p.chain.revenue, 2 * MINIMUM[asset])
    forward(p, "1", "pull", *pull, sender="mallory")
    yield from p.mine(6)


@case(suspense=1)
def block_reward(p: Play, _: str) -> Iterator[str]:
    """The revenue wallet builds a block: its balance grows by the fees, and no transaction says so."""
    yield "reward"
    p.chain.wire("anvil_setCoinbase", p.chain.revenue)
    p.chain.send("carol", address("bob"), 1)
    p.chain.mine()
    p.chain.wire("anvil_setCoinbase", address("builder"))
    yield from p.mine(6)


@case(suspense=1, credited=1)
def block_reward_beside_a_payment(p: Play, _: str) -> Iterator[str]:
    yield "reward"
    p.chain.wire("anvil_setCoinbase", p.chain.revenue)
    p.pay("alice/1", "alice", MINIMUM["eth"])
    p.chain.mine()
    p.chain.wire("anvil_setCoinbase", address("builder"))
    yield from p.mine(6)


@case(suspense=1)
def left_by_self_destruct(p: Play, _: str) -> Iterator[str]:
    yield "bequeath"
    forward(p, "1", "bequeath", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)


@case(suspense=1)
def left_twice_and_once_undone(p: Play, _: str) -> Iterator[str]:
    yield "bequeath"
    forward(p, "1", "bequeathTwice", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)


@case("axgt", credited=1)
def token_takes_a_fee(p: Play, asset: str) -> Iterator[str]:
    """1 % goes to the token's owner; what arrives is what is logged, and what is credited."""
    yield "fee"
    p.chain.call("faucet", p.chain.deployment.axgt, "Axgt", "setFee", 100, False)
    yield from p.mine(1)
    yield "pay"
    p.give("whale/1", "whale", asset, 10 * MINIMUM[asset])
    yield from p.mine(6)


@case("axgt", credited=1)
def amount_changes_as_it_is_mined_again(p: Play, asset: str) -> Iterator[str]:
    """Mined again after the fee came: the same transaction now brings less, and that is what counts."""
    yield "pay"
    sent = p.give("whale/1", "whale", asset, 10 * MINIMUM[asset])
    yield from p.mine(6)
    yield from p.watched()
    fee = call_data("Axgt", "setFee", 500, False)
    yield "reorg"
    p.chain.rollback(6)
    p.chain.send("faucet", p.chain.deployment.axgt.lower(), 0, fee)
    p.chain.mine()
    p.chain.hand_in(sent.raw)
    for _ in range(6):
        p.chain.mine()


@case("axgt", suspense=1)
def token_hides_its_fee(p: Play, asset: str) -> Iterator[str]:
    """Its log names more than arrives: nobody is credited for what did not come."""
    yield "fee"
    p.chain.call("faucet", p.chain.deployment.axgt, "Axgt", "setFee", 100, True)
    yield from p.mine(1)
    yield "pay"
    p.give("whale/1", "whale", asset, 10 * MINIMUM[asset])
    yield from p.mine(6)


@case(*[a for a in ALL if a != "axgt"], credited=2)
def contract_and_person_in_one_block(p: Play, asset: str) -> Iterator[str]:
    yield "fill"
    if asset == "usdc":
        fill(p, asset, 3 * DOLLAR)
        yield from p.mine(1)
    yield "pay"
    p.give("carol/1", "carol", asset, MINIMUM[asset])
    if asset == "usdc":
        forward(p, "1", "tokens", p.chain.deployment.usdc, [p.chain.revenue], [3 * DOLLAR])
    else:
        forward(p, "1", "forward", p.chain.revenue, wei=ETHER)
    yield from p.mine(6)
