"""What the operator's configuration decides: rails, wallets, chains, caps, quotes, finality, starts and outages."""

from __future__ import annotations

from collections.abc import Iterator

from controller.models import Wallet
from controller.services.pricing import quotes_offer
from deposits import node
from deposits.cases.payments import answered
from deposits.cases.prices import USD, feed
from deposits.cases.registry import ALL, MINIMUM, PAYER, case
from deposits.chain import ETHER, Sent, address
from deposits.scene import Play

FORMER = {"chain": {"former_revenue_wallets": [address("former")]}}
CAPPED = {"chain": {"provisional_cap_minutes": 150}}


@case(*ALL, suspense=1, settings={rail: {"enabled": False} for rail in ALL})
def rail_is_off(p: Play, asset: str) -> Iterator[str]:
    yield "pay"
    p.give(f"{PAYER[asset]}/1", PAYER[asset], asset, 5 * MINIMUM[asset])
    yield from p.mine(6)


@case("eth", "usdc", credited=2, settings=FORMER)
def revenue_wallet_was_changed(p: Play, asset: str) -> Iterator[str]:
    """Old wallets are watched for ever."""
    yield "pay"
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    if asset == "eth":
        p.pay("carol/1", "carol", 2 * MINIMUM["eth"], to=address("former"))
    else:
        p.token("carol/1", "carol", "usdc", 2 * MINIMUM["usdc"], to=address("former"))
    yield from p.mine(6)


@case(settings=FORMER)
def former_wallet_pays_the_present_one(p: Play, _: str) -> Iterator[str]:
    yield "move"
    p.chain.set_balance(address("former"), ETHER)
    p.chain.mine()
    p.pay("former/1", "former", ETHER // 2)
    yield from p.mine(6)


@case(credited=1, settings={"chain": {"confirmations": 1}})
def one_confirmation_is_enough(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(1)


@case(credited=1, settings={"chain": {"confirmations": 12}})
def twelve_confirmations_are_wanted(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(8)


@case("eth", "usdc", chains=2, check=answered("transaction_unknown"))
def paid_on_another_chain(p: Play, asset: str) -> Iterator[str]:
    """A chain that nobody watches: not found here, and nothing is credited."""
    yield "pay"
    p.publish("alice/1", _on_the_other(p, asset))
    yield from p.mine(3, p.other)
    yield from p.mine(3)


@case(suspense=1, chains=2, settings={"other": {}})
def eth_on_the_chain_of_usdc(p: Play, _: str) -> Iterator[str]:
    """ETH is taken on the home chain only; what comes elsewhere is kept and shown, not credited."""
    yield "pay"
    p.publish("alice/1", _on_the_other(p, "eth"))
    yield from p.mine(6, p.other)


@case(credited=2, chains=2, settings={"other": {}, "usdc": {"chain_id": 84533}})
def rails_on_two_chains(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.publish("alice/1", _on_the_other(p, "usdc"))
    p.pay("alice/2", "alice", MINIMUM["eth"])
    for _block in range(6):
        yield from p.mine(1, p.other)
        yield from p.mine(1)


@case(credited=1, chains=2, settings={"other": {}, "usdc": {"chain_id": 84533}})
def one_of_two_chains_is_down(p: Play, _: str) -> Iterator[str]:
    yield "fault"
    p.chain.spoil("node-a", node.down)
    yield "pay"
    p.publish("alice/1", _on_the_other(p, "usdc"))
    yield from p.mine(7, p.other)


def _on_the_other(p: Play, asset: str) -> Sent:
    if asset == "eth":
        return p.other.send("alice", p.other.revenue, MINIMUM["eth"])
    paid = ("MockUsdc", "transfer", p.other.revenue, MINIMUM["usdc"])
    return p.other.call("alice", p.other.deployment.usdc, *paid)


@case("eth", "usdc", credited=1)
def away_for_eighty_blocks(p: Play, asset: str) -> Iterator[str]:
    yield from p.watched()
    yield "all at once"
    for _ in range(40):
        p.chain.mine()
    p.give("alice/1", "alice", asset, MINIMUM[asset])
    for _ in range(40):
        p.chain.mine()


@case(credited=1)
def credited_and_final(p: Play, _: str) -> Iterator[str]:
    yield "pay"
    p.pay("alice/1", "alice", MINIMUM["eth"])
    yield from p.mine(6)
    yield "seventy blocks"
    for _ in range(70):
        p.chain.mine()


def _capped(play: Play) -> list[str]:
    credited = play.stage.rows(
        "SELECT coalesce(sum(credited_gpu_ms), 0) FROM money_event WHERE state = 'credited'"
    )
    return [] if credited[0][0] <= 150 * 60_000 else [f"{credited[0][0]} GPU-ms are credited and not final"]


@case(credited=1, waiting=2, settings=CAPPED, check=_capped)
def provisional_cap_holds(p: Play, _: str) -> Iterator[str]:
    """Two hours each: one fits under the cap, the others wait until the first is final."""
    for number in range(3):
        yield "pay"
        p.pay(f"alice/{number}", "alice", MINIMUM["eth"])
        yield from p.mine(1)
    yield from p.mine(6)


@case(credited=3, settings=CAPPED)
def provisional_cap_opens_when_final(p: Play, _: str) -> Iterator[str]:
    for number in range(3):
        yield "pay"
        p.pay(f"alice/{number}", "alice", MINIMUM["eth"])
        yield from p.mine(1)
    yield from p.mine(6)
    yield "seventy blocks"
    for _ in range(70):
        p.chain.mine()


def quote(p: Play, wallet: str, rail: str, amount: int) -> int:
    """Somebody who is signed in asks for a binding price; returns the amount it is for."""
    deps = p.deps("web")
    with deps.database.begin() as db:
        db.add(Wallet(address=address(wallet), created_at_ms=deps.clock.now_ms()))
    return quotes_offer.offer(deps, address(wallet), rail, str(amount), None).amount


@case("eth", "usdc", credited=1)
def quoted_and_paid_in_time(p: Play, asset: str) -> Iterator[str]:
    yield "quote"
    quote(p, "alice", asset, 3 * MINIMUM[asset])
    yield "price falls"
    feed(p, "eth_usd_feed", "setAnswer", 2_000 * USD)
    yield from p.mine(1)
    yield "pay"
    p.give("alice/1", "alice", asset, 3 * MINIMUM[asset])
    yield from p.mine(6)


@case(credited=1)
def quoted_and_paid_too_late(p: Play, _: str) -> Iterator[str]:
    yield "quote"
    quote(p, "alice", "eth", 3 * MINIMUM["eth"])
    yield "price falls"
    feed(p, "eth_usd_feed", "setAnswer", 2_000 * USD)
    p.chain.mine(20 * 60)
    yield "pay"
    p.pay("alice/1", "alice", 3 * MINIMUM["eth"])
    yield from p.mine(6)


@case(credited=1)
def quoted_for_another_amount(p: Play, _: str) -> Iterator[str]:
    yield "quote"
    quote(p, "alice", "eth", 3 * MINIMUM["eth"])
    yield "price falls"
    feed(p, "eth_usd_feed", "setAnswer", 2_000 * USD)
    yield from p.mine(1)
    yield "pay"
    p.pay("alice/1", "alice", 3 * MINIMUM["eth"] - 1)
    yield from p.mine(6)


@case(credited=2)
def quoted_once_and_paid_twice(p: Play, _: str) -> Iterator[str]:
    yield "quote"
    quote(p, "alice", "eth", 3 * MINIMUM["eth"])
    yield "price falls"
    feed(p, "eth_usd_feed", "setAnswer", 2_000 * USD)
    yield from p.mine(1)
    for number in range(2):
        yield "pay"
        p.pay(f"alice/{number}", "alice", 3 * MINIMUM["eth"])
        yield from p.mine(1)
    yield from p.mine(5)


@case(credited=1)
def quoted_by_one_and_paid_by_another(p: Play, _: str) -> Iterator[str]:
    yield "quote"
    quote(p, "mallory", "eth", 3 * MINIMUM["eth"])
    yield "price falls"
    feed(p, "eth_usd_feed", "setAnswer", 2_000 * USD)
    yield from p.mine(1)
    yield "pay"
    p.pay("alice/1", "alice", 3 * MINIMUM["eth"])
    yield from p.mine(6)
