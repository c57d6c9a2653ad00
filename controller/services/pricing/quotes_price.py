"""What one wallet would get for any amount of a currency at one block: what a quote is made from."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.pricing import amount_for, amount_text, readable_amount
from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.domain.quotes import Wish
from controller.errors import AmountRefused
from controller.services.deposits.value import Verdict, decimals_of, valued
from controller.services.deps import Deps
from controller.services.ports import Block
from controller.services.pricing.holdings import Holding, holding
from controller.services.pricing.prices import Asset, Trusted, price_of
from controller.services.pricing.rate_board import believable_head
from controller.settings import Settings

GPU_MS_PER_HOUR = 60 * GPU_MS_PER_MINUTE


@dataclass(frozen=True)
class Market:
    """Price and holding at a block; from here on nothing is read."""

    settings: Settings
    asset: Asset
    at: Block
    price: Trusted
    held: Holding | None

    @property
    def decimals(self) -> int:
        return decimals_of(self.settings, self.asset)

    def worth(self, amount: int) -> Verdict:
        """What a deposit of an amount would come to at this block."""
        return valued(self.settings, self.asset, amount, self.price, self.held)

    def amount_of(self, wish: Wish) -> int:
        """The amount a wish comes to; for hours one that people can read, and never below the minimum."""
        least = self.worth(1)
        if wish.amount is not None:
            return wish.amount
        if wish.gpu_hours is None:
            return least.minimum
        exact = amount_for(
            wish.gpu_hours * GPU_MS_PER_HOUR,
            self.decimals,
            self.price.price,
            self.settings.pricing.usd_per_gpu_hour,
            least.evidence["discount_bps"],
            bonus_bps=least.evidence["bonus_bps"],
        )
        return max(readable_amount(exact), least.minimum)

    def check(self, amount: int) -> Verdict:
        """`worth` of an amount that a quote may be for.

        Raises:
            AmountRefused: it is below the minimum, brings nothing, or more than a quote may be for.
        """
        verdict, name = self.worth(amount), self.asset.upper()
        gpu_ms = int(verdict.evidence["gpu_ms"])
        if verdict.state != "credited" or gpu_ms == 0:
            missing = amount_text(max(verdict.minimum - amount, 1), self.decimals)
            raise AmountRefused(f"{missing} {name} less than the minimum.", reason="below_minimum")
        if gpu_ms > self._most():
            hours = self._most() // GPU_MS_PER_HOUR
            raise AmountRefused(
                f"A price in {name} is held for at most {hours} GPU-hours.", reason="too_much"
            )
        return verdict

    def _most(self) -> int:
        most = self.settings.quotes.max_gpu_hours * GPU_MS_PER_HOUR
        if self.asset != "axgt":
            return most
        return min(most, self.settings.axgt.daily_cap_gpu_minutes_wallet * GPU_MS_PER_MINUTE)


def market_of(deps: Deps, asset: Asset, wallet: str) -> Market:
    """The market for a wallet at the newest block.

    Raises:
        PriceUnavailable: there is no fresh price to be trusted.
        ChainUnavailable: the chain cannot be read.
    """
    at = believable_head(deps, asset)
    price = price_of(deps, asset, at)
    held = holding(deps, wallet, at) if asset == "eth" else None
    return Market(deps.settings, asset, at, price, held)
