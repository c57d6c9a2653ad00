"""Plain payments, and all that only looks like one. Source: payments.md 2.4."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deposits.cases.registry import ALL, MINIMUM, PAYER, case
from deposits.chain import DOLLAR, ETHER, account, address
from deposits.scene import Play


def answered(*codes: str) -> Callable[[Play], list[str]]:
    """Somebody who pasted the hash was told one of these."""

    def check(play: Play) -> list[str]:
        outcomes = {outcome for _, _, outcome, _ in play.told}
        if play.mode == "watcher" or outcomes & set(codes):
            return []
        return [f"nobody was told {' or '.join(codes)}, only {sorted(outcomes)}"]

    return check


@case(*ALL, credited=1)
def direct(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset])
    yield from p.mine(6)


@case(*ALL, credited=1)
def overpaid_by_odd_units(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, MINIMUM[asset] * 7 // 3 + 1)
    yield from p.mine(6)


@case("eth", "usdc", waiting=1, settles=False)
def five_of_six_confirmations(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(5)


@case("eth", "usdc", check=answered("transaction_failed"))
def failed(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    if asset == "eth":
        sent = p.chain.call("alice", p.chain.deployment.forwarder, "Forwarder", "fail", wei=ETHER)
        p.publish("alice/1", sent)
    else:
        p.token("alice/1", "alice", "usdc", 2_000_000 * DOLLAR)  # more than she has
    yield from p.mine(6)


@case(*ALL, check=answered("not_to_revenue_wallet"))
def wrong_recipient(p: Play, asset: str) -> Iterator[str]:
    look_alike = p.chain.revenue[:6] + "0" * 30 + p.chain.revenue[-6:]
    yield "pay"
    if asset == "eth":
        p.pay("alice/1", "alice", ETHER, to=look_alike)
    else:
        p.token("whale/1", "whale", asset, MINIMUM[asset], to=look_alike)
    yield from p.mine(6)


@case(*ALL)
def zero_value(p: Play, asset: str) -> Iterator[str]:
    """Address poisoning: a transfer of nothing from somebody who never asked for it."""
    yield "pay"
    if asset == "eth":
        p.pay("mallory/1", "mallory", 0)
    else:
        contract = {"usdc": p.chain.deployment.usdc, "axgt": p.chain.deployment.axgt}[asset]
        kind = {"usdc": "MockUsdc", "axgt": "Axgt"}[asset]
        sent = p.chain.call("mallory", contract, kind, "transferFrom", address("alice"), p.chain.revenue, 0)
        p.publish("mallory/1", sent)
    yield from p.mine(6)


@case(check=answered("unsupported_token"))
def fake_token(p: Play, _: str) -> Iterator[str]:
    where = p.chain.deployment.fake_token
    yield "pretend"
    lie = ("FakeToken", "pretend", address("alice"), p.chain.revenue, 1_000 * DOLLAR)
    p.publish("alice/1", p.chain.call("mallory", where, *lie))
    yield from p.mine(6)


@case(suspense=1)
def minted_to_the_revenue_wallet(p: Play, _: str) -> Iterator[str]:
    yield "mint"
    minted = ("MockUsdc", "mint", p.chain.revenue, 5 * DOLLAR)
    p.publish("faucet/1", p.chain.call("faucet", p.chain.deployment.usdc, *minted))
    yield from p.mine(6)


@case("eth", "usdc")
def revenue_pays_itself(p: Play, asset: str) -> Iterator[str]:
    """Not income: a move inside the house. What paid for it came before the story."""
    yield "pay"
    p.give("revenue/1", "revenue", asset, MINIMUM[asset])
    yield from p.mine(6)


@case("eth", "usdc", credited=2)
def two_wallets_in_one_block(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    p.give("carol/1", "carol", asset, 3 * MINIMUM[asset])
    yield from p.mine(6)


@case("eth", "usdc", credited=3)
def three_times_in_a_row(p: Play, asset: str) -> Iterator[str]:
    for number in range(3):
        yield "pay"
        p.give(f"alice/{number}", "alice", asset, MINIMUM[asset] + number)
        yield from p.mine(1)
    yield from p.mine(5)


@case("eth", "usdc", modes=("race",), credited=1, claims=50, weather=False)
def fifty_parallel_claims(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)


@case("eth", "usdc", credited=1, check=answered("replaced", "transaction_unknown"))
def replaced(p: Play, asset: str) -> Iterator[str]:
    """Same nonce, higher fee: only the second one is ever mined."""
    nonce = int(p.chain.wire("eth_getTransactionCount", account("alice").address, "latest"), 16)
    fees = {"maxFeePerGas": 500 * 10**9, "maxPriorityFeePerGas": 50 * 10**9}
    to, wei, data = p.chain.revenue, MINIMUM["eth"], "0x"
    if asset == "usdc":
        to, wei = p.chain.deployment.usdc.lower(), 0
        data = "0xa9059cbb" + p.chain.revenue[2:].rjust(64, "0") + f"{MINIMUM['usdc']:064x}"
    yield "pay"
    p.publish("alice/slow", p.chain.send("alice", to, wei, data, nonce=nonce))
    yield "replace"
    p.publish("alice/quick", p.chain.send("alice", to, wei, data, nonce=nonce, **fees))
    yield from p.mine(6)


@case("eth", "usdc")
def dropped(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield "drop"
    p.chain.drop(sent)
    yield from p.mine(6)


@case("eth", credited=1)
def dropped_and_sent_again(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    sent = p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield "drop"
    p.chain.drop(sent)
    yield from p.mine(1)
    yield "again"
    p.chain.hand_in(sent.raw)
    yield from p.mine(6)


@case("eth", "usdc", credited=1)
def long_in_the_pool(p: Play, asset: str) -> Iterator[str]:
    """Sent with too low a fee: blocks pass it by until it is sent once more with the same nonce and content."""
    yield from p.mine(3)
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    yield from p.mine(6)
