"""What a payment is worth in GPU-milliseconds, in exact fractions; None where there was no price to trust."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from deposits.oracle.money import Fact
from deposits.oracle.rpc import Asker
from deposits.oracle.terms import Ledgered, Terms

MS_PER_HOUR = 3_600_000
LATEST_ROUND = "0xfeaf968c"


def _words(data: str | None) -> list[int]:
    body = (data or "0x")[2:]
    return [int(body[i : i + 64], 16) for i in range(0, len(body), 64)]


def _signed(word: int) -> int:
    return word - 2**256 if word >= 2**255 else word


def sequencer_up(asker: Asker, chain: Ledgered, fact: Fact) -> bool:
    """Whether the chain's sequencer was up at the payment's block, and had been for its grace."""
    if chain.sequencer is None:
        return True
    words = _call(asker, chain.sequencer, LATEST_ROUND, fact.block_hash)
    return words[1] == 0 and fact.time_s - words[2] >= chain.sequencer_grace_s


def _call(asker: Asker, to: str, data: str, block_hash: str) -> list[int]:
    return _words(asker.one("eth_call", {"to": to, "data": data}, {"blockHash": block_hash}))


def feed(asker: Asker, address: str, fact: Fact, age_s: int) -> Fraction | None:
    """US dollars as a feed with 8 decimals says it at the payment's block, if that is to be believed."""
    words = _call(asker, address, LATEST_ROUND, fact.block_hash)
    if len(words) < 5:
        return None
    round_id, answer, updated, answered_in = words[0], _signed(words[1]), words[3], words[4]
    fresh = 0 < updated <= fact.time_s <= updated + age_s
    return Fraction(answer, 10**8) if answer > 0 and fresh and answered_in >= round_id else None


def discount(asker: Asker, terms: Terms, fact: Fact) -> int:
    """The holder's discount in basis points at the end of the payment's block."""
    data = "0x70a08231" + fact.payer[2:].rjust(64, "0")
    words = _call(asker, terms.axgt, data, fact.block_hash)
    held = (words[0] if words else 0) // 10 ** dict(terms.decimals)["axgt"]
    return [bps for floor_, bps in terms.tiers if floor_ <= held][-1]


def pool_usd(asker: Asker, terms: Terms, fact: Fact) -> Fraction | None:
    """The lower of the pool's half-hour and present price of an AXGT, in dollars, if the second source agrees."""
    assert terms.axgt_pool
    holds = "0x70a08231" + terms.axgt_pool[2:].lower().rjust(64, "0")
    if _call(asker, terms.usdc, holds, fact.block_hash)[0] < terms.axgt_floor_usd * 10**6:
        return None
    slot = _call(asker, terms.axgt_pool, "0x3850c7bd", fact.block_hash)
    ago = "".join(f"{n:064x}" for n in (0x20, 2, 1800, 0))
    seen = _call(asker, terms.axgt_pool, "0x883bdbfd" + ago, fact.block_hash)
    first = _call(asker, terms.axgt_pool, "0x0dfe1681", fact.block_hash)
    if not slot or len(seen) < 5:
        return None
    ticks = _signed(seen[4]) - _signed(seen[3])
    spot, mean = Fraction(slot[0] ** 2, 2**192), Fraction(1.0001 ** (ticks // 1800))
    if first[0] != int(terms.axgt, 16):
        spot, mean = 1 / spot, 1 / mean
    usd = min(spot, mean) * 10**12
    other = feed(asker, terms.axgt_feed, fact, terms.feed_age_s) if terms.axgt_feed else None
    if terms.axgt_feed and (other is None or abs(usd - other) > other * terms.axgt_within):
        return None
    return usd


def value(asker: Asker, terms: Terms, chain: Ledgered, fact: Fact) -> tuple[int, int] | None:
    """GPU-milliseconds and minimum of a payment, read at its own block of its own chain."""
    scale = 10 ** dict(terms.decimals)[fact.asset]
    if (fact.asset != "usdc" or terms.usdc_feed) and not sequencer_up(asker, chain, fact):
        return None
    bonus, off, usd = 0, 0, Fraction(1)
    if fact.asset == "eth":
        price = feed(asker, terms.eth_feed, fact, terms.feed_age_s)
        if price is None or not terms.eth_usd_between[0] <= price <= terms.eth_usd_between[1]:
            return None
        usd, off = price, discount(asker, terms, fact)
    elif fact.asset == "usdc" and terms.usdc_feed:
        peg = feed(asker, terms.usdc_feed, fact, terms.usdc_age_s)
        if peg is None or peg < terms.usdc_depeg:
            return None
    elif fact.asset == "axgt":
        price = pool_usd(asker, terms, fact)
        if price is None:
            return None
        usd, bonus = price, terms.bonus_bps
    dollars = Fraction(fact.amount, scale) * usd * Fraction(10_000 + bonus, 10_000)
    gpu_ms = floor(dollars / terms.usd_per_hour * MS_PER_HOUR * Fraction(10_000, 10_000 - off))
    return gpu_ms, terms.minimum[fact.asset] * (10_000 - off) // 10_000
