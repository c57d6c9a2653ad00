"""Making quotes: the price of now, held for one deposit of an exact amount by the wallet that asks.

So that asking is no game: a quote is never extended or priced anew while it is open, a wallet has one open
quote for an amount at a time and few in all, none is for more than `quotes.max_gpu_hours`, and without a
price that is fresh and trusted there is none. Source: payments.md 2.5; section 10, goal 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import get_args

from eth_utils.address import to_checksum_address
from sqlalchemy import delete
from sqlmodel import Session, col, select

from controller.domain.deposits import OPEN
from controller.domain.pricing import amount_text, minutes_text, readable_amount
from controller.domain.quotes import Wish, wish_of
from controller.errors import BadInput, NotYours, RailNotOffered, TooManyQuotes
from controller.models import MoneyEvent, Quote, Wallet
from controller.services.deposits.value import accepted
from controller.services.deps import Deps
from controller.services.pricing.payment_addresses import require_accepted
from controller.services.pricing.prices import Asset
from controller.services.pricing.quotes_price import GPU_MS_PER_HOUR, Market, market_of

# A quote for hours that is about to run out is not handed out again: the next has another amount.
WORTH_KEEPING_MS = 120_000
FORGOTTEN_AFTER_MS = 30 * 86_400_000


@dataclass(frozen=True)
class QuoteView:
    """A quote as its wallet sees it. `state` is `open`, `expired` or `used`; `tx_hash` is the deposit's.

    `amount` is in the token's smallest unit: exactly this, to `pay_to`, on chain `chain_id`.
    """

    id: str
    rail: str
    chain_id: int
    amount: int
    amount_text: str
    pay_to: str
    contract: str | None
    gpu_ms: int
    minutes_text: str
    usd_price_text: str
    discount_bps: int
    bonus_bps: int
    created_at_ms: int
    expires_at_ms: int
    state: str
    tx_hash: str | None
    server_now_ms: int


def offer(deps: Deps, wallet: str, rail: str, amount: object, gpu_hours: object) -> QuoteView:
    """A quote that holds for `quotes.minutes`, or the wallet's open one for the same amount.

    Args:
        deps: ports and settings.
        wallet: who is signed in, lower case; only its own deposit can use the quote.
        rail: `eth`, `usdc` or `axgt`.
        amount: `min`, or digits in the token's smallest unit; None with `gpu_hours`.
        gpu_hours: hours of one GPU that the amount is to bring at least; None with `amount`.

    Raises:
        BadInput: no such rail, or no wish that can be read.
        RailNotOffered: the operator does not accept this currency.
        AmountRefused: below the minimum, or for more than a quote may be.
        TooManyQuotes: the wallet's open quotes are as many as it may have.
        PriceUnavailable: there is no fresh price to be trusted, so there is no quote.
        ChainUnavailable: the chain cannot be read.
        PaymentsHeld: where payments go was changed and not yet approved.
    """
    asset = _asset(rail)
    try:
        wish = wish_of(amount, gpu_hours)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize()) from error
    if not accepted(deps.settings, asset, _chain_id(deps, asset)):
        raise RailNotOffered
    require_accepted(deps)
    market = market_of(deps, asset, wallet)
    market.check(market.amount_of(wish))
    with deps.database.begin() as db:
        db.exec(select(Wallet).where(Wallet.address == wallet).with_for_update(key_share=True)).one()
        return _view(deps, db, _kept_or_added(deps, db, wallet, wish, market))


def read(deps: Deps, wallet: str, quote_id: str) -> QuoteView:
    """One of the wallet's quotes; raises NotYours for every other id."""
    with deps.database.begin() as db:
        quote = db.get(Quote, quote_id)
        if quote is None or quote.wallet != wallet:
            raise NotYours
        return _view(deps, db, quote)


def _asset(rail: str) -> Asset:
    for known in get_args(Asset):
        if rail == known:
            return known  # type: ignore[no-any-return]
    raise BadInput("`rail` is eth, usdc or axgt.", field="rail")


def _kept_or_added(deps: Deps, db: Session, wallet: str, wish: Wish, market: Market) -> Quote:
    """The wallet's open quote for the same, or a new one; the wallet's row is locked."""
    now_ms = deps.clock.now_ms()
    open_ones = _open(db, wallet, now_ms)
    rivals = [q for q in open_ones if (q.rail, q.chain_id) == (market.asset, _chain_id(deps, market.asset))]
    amount = _apart(wish, market.amount_of(wish), rivals)
    for event_id, quote in _spoken_for(db, amount, rivals):
        quote.event_id = event_id
        db.add(quote)
        open_ones.remove(quote)
        rivals.remove(quote)
    for quote in rivals:
        again = wish.gpu_hours is not None and quote.asked == wish.text
        if int(quote.amount) == amount or (again and quote.expires_at_ms - now_ms >= WORTH_KEEPING_MS):
            return quote
    if len(open_ones) >= deps.settings.quotes.open_per_wallet:
        wait_s = (min(quote.expires_at_ms for quote in open_ones) - now_ms + 999) // 1000
        raise TooManyQuotes(retry_after_s=wait_s)
    gone = (col(Quote.expires_at_ms) < now_ms - FORGOTTEN_AFTER_MS) & col(Quote.event_id).is_(None)
    db.exec(delete(Quote).where(gone))
    made = _quote(deps, wallet, wish, market, amount)
    db.add(made)
    db.flush()
    return made


def _chain_id(deps: Deps, asset: Asset) -> int:
    return deps.settings.chain_of(asset).chain_id


def _open(db: Session, wallet: str, now_ms: int) -> list[Quote]:
    """The wallet's open quotes, locked: a deposit that is being settled may be taking one at this moment."""
    query = select(Quote).where(
        Quote.wallet == wallet, col(Quote.event_id).is_(None), Quote.expires_at_ms > now_ms
    )
    return list(db.exec(query.order_by(col(Quote.created_at_ms), col(Quote.id)).with_for_update()))


def _apart(wish: Wish, amount: int, rivals: list[Quote]) -> int:
    """For hours another amount, where an open quote for the same one brings less than those hours."""
    if wish.gpu_hours is None:
        return amount
    less = {int(q.amount) for q in rivals if q.gpu_ms < wish.gpu_hours * GPU_MS_PER_HOUR}
    while amount in less:
        amount = readable_amount(amount + 1)
    return amount


def _spoken_for(db: Session, amount: int, rivals: list[Quote]) -> list[tuple[int, Quote]]:
    """Open quotes of an amount whose deposit is on its way, with that deposit; those are no longer open."""
    same = [quote for quote in rivals if int(quote.amount) == amount]
    if not same:
        return []
    waiting = select(MoneyEvent).where(
        MoneyEvent.payer == same[0].wallet,
        MoneyEvent.chain_id == same[0].chain_id,
        MoneyEvent.asset == same[0].rail,
        MoneyEvent.amount == Decimal(amount),  # as a number beyond 64 bits
        col(MoneyEvent.state).in_(OPEN),
        ~select(Quote.id).where(col(Quote.event_id) == MoneyEvent.id).exists(),
    )
    found = []
    for event in db.exec(waiting.order_by(col(MoneyEvent.id))):
        quote = next((q for q in same if event.block_number > q.block_number), None)
        if quote is not None and event.id is not None:
            same.remove(quote)
            found.append((event.id, quote))
    return found


def _quote(deps: Deps, wallet: str, wish: Wish, market: Market, amount: int) -> Quote:
    # A chain's clock may run ahead of ours by a little; block time decides whether a deposit is in time.
    now_ms, at, evidence = deps.clock.now_ms(), market.at, market.check(amount).evidence
    expires_at_ms = max(now_ms, at.timestamp_s * 1000) + deps.settings.quotes.minutes * 60_000
    quote = Quote(
        id=deps.new_id(),
        wallet=wallet,
        rail=market.asset,
        chain_id=_chain_id(deps, market.asset),
        asked=wish.text,
        amount=amount,
        gpu_ms=int(evidence["gpu_ms"]),
        block_number=at.number,
        created_at_ms=now_ms,
        expires_at_ms=expires_at_ms,
    )
    named = {"block_number": at.number, "block_hash": at.hash}
    told = {"id": quote.id, "created_at_ms": now_ms, "expires_at_ms": expires_at_ms, **named}
    quote.terms = {**evidence, "quote": told}
    return quote


def _view(deps: Deps, db: Session, quote: Quote) -> QuoteView:
    settings, terms, now_ms = deps.settings, quote.terms, deps.clock.now_ms()
    event = db.get(MoneyEvent, quote.event_id) if quote.event_id else None
    contract = {"usdc": settings.usdc.contract, "axgt": settings.axgt.contract}.get(quote.rail)
    return QuoteView(
        id=quote.id,
        rail=quote.rail,
        chain_id=quote.chain_id,
        amount=int(quote.amount),
        amount_text=f"{amount_text(int(quote.amount), terms['token_decimals'])} {quote.rail.upper()}",
        pay_to=to_checksum_address(settings.chain_by_id(quote.chain_id).revenue_wallet),
        contract=to_checksum_address(contract) if contract else None,
        gpu_ms=quote.gpu_ms,
        minutes_text=minutes_text(quote.gpu_ms),
        usd_price_text=amount_text(int(terms["usd_answer"]), terms["usd_decimals"]),
        discount_bps=terms["discount_bps"],
        bonus_bps=terms["bonus_bps"],
        created_at_ms=quote.created_at_ms,
        expires_at_ms=quote.expires_at_ms,
        state="used" if event else "open" if quote.expires_at_ms > now_ms else "expired",
        tx_hash=event.tx_hash if event else None,
        server_now_ms=now_ms,
    )
