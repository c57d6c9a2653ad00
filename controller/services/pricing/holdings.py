"""What a wallet held in AXGT when it paid: the tier's evidence, with look-back samples where they are on.

Source: payments.md 2.5. The end of a block defeats borrowing within a transaction; samples of days before
defeat one bag that is passed round many wallets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.domain.tiers import Effective, effective_tier
from controller.services.deps import Deps
from controller.services.ports import Block, ChainReader
from controller.settings import Settings

DAY_S = 86_400


@dataclass(frozen=True)
class Sample:
    """A balance in the token's smallest unit at a block, `days` before the deposit."""

    days: int
    balance: int
    block: Block


@dataclass(frozen=True)
class Holding:
    """All samples, the deposit's own block first."""

    samples: tuple[Sample, ...]

    def effective(self, settings: Settings) -> Effective:
        """The tier that counts, and when it rises."""
        balances = [(sample.days, sample.balance) for sample in self.samples]
        return effective_tier(balances, settings.axgt.decimals, settings.pricing.tiers)

    def evidence(self, settings: Settings) -> dict[str, Any]:
        """What the tier was worked out from, as plain JSON."""
        now, *earlier = self.samples
        least = min(self.samples, key=lambda sample: sample.balance)
        told = {
            "axgt_balance": str(least.balance),
            "axgt_contract": settings.axgt.contract.lower(),
            "tier": self.effective(settings).tier.index,
            "block_number": now.block.number,
            "block_hash": now.block.hash,
        }
        if not earlier:
            return told
        return {**told, "samples": [_plain(sample) for sample in self.samples]}


def holding(deps: Deps, wallet: str, at: Block) -> Holding:
    """A wallet's holding at a block of the home chain, and so many days before as the operator asks for.

    Raises:
        StateForgotten: a sample's state is gone; only an archive node could tell.
        ChainUnavailable: it could not be read.
    """
    chain = deps.chain
    samples = [Sample(0, chain.axgt_balance(wallet, at.hash), at)]
    for days in deps.settings.pricing.tier_lookback_days:
        block = block_at(chain, at.timestamp_s - days * DAY_S, at)
        samples.append(Sample(days, chain.axgt_balance(wallet, block.hash), block))
    return Holding(tuple(samples))


def block_at(chain: ChainReader, time_s: int, newest: Block) -> Block:
    """The last block at or before an instant; the first block where the chain is younger.

    Args:
        chain: to read from.
        time_s: seconds since the epoch.
        newest: a block after that instant.
    """
    low, high = chain.block(0), newest
    while high.number - low.number > 1 and low.timestamp_s < time_s:
        guess = _between(low, high, time_s)
        middle = chain.block(guess)
        low, high = (middle, high) if middle.timestamp_s <= time_s else (low, middle)
        if low.timestamp_s == time_s:
            break
        # A guess by even spacing, then a plain half: few steps on real chains, never more than twice log2.
        if high.number - low.number > 1:
            middle = chain.block((low.number + high.number) // 2)
            low, high = (middle, high) if middle.timestamp_s <= time_s else (low, middle)
    return high if high.timestamp_s <= time_s else low


def _between(low: Block, high: Block, time_s: int) -> int:
    span = max(high.timestamp_s - low.timestamp_s, 1)
    guess = low.number + (high.number - low.number) * (time_s - low.timestamp_s) // span
    return min(max(guess, low.number + 1), high.number - 1)


def _plain(sample: Sample) -> dict[str, Any]:
    told = {"days": sample.days, "axgt_balance": str(sample.balance)}
    return {**told, "block_number": sample.block.number, "block_hash": sample.block.hash}
