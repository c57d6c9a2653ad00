"""Rates, quotes and deposits. What is credited comes from the chain, never from a request."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.errors import (
    AmountRefused,
    ChainUnavailable,
    DepositNotFound,
    NodesDisagree,
    NothingForUs,
    PaymentsHeld,
    PriceUnavailable,
    RailNotOffered,
    StateForgotten,
    TooManyQuotes,
    TransactionFailed,
    UnsupportedToken,
)
from controller.services.deposits import of_wallet as deposits
from controller.services.deposits.views import DepositView
from controller.services.pricing import quotes_offer
from controller.services.pricing import rates as rates_service
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, rate_board, wallet, wallet_or_none
from controller.web.guarding import limited
from controller.web.operations import operation

blueprint = Blueprint("api_money", __name__, url_prefix="/api/v1")


@blueprint.get("/rates")
@limited("rates", 120)
@operation(
    "Each currency's minimum, minutes and price; the wallet's holder tier",
    rates_service.Rates,
    scope="account:read",
    public=True,
)
def rates() -> Response:
    return answer(rates_service.rates(deps(), rate_board(), wallet_or_none()))


@blueprint.post("/quotes")
@limited("quotes", 12)
@operation(
    "A price held for one deposit of an exact amount",
    quotes_offer.QuoteView,
    RailNotOffered,
    AmountRefused,
    TooManyQuotes,
    PaymentsHeld,
    PriceUnavailable,
    NodesDisagree,
    ChainUnavailable,
    StateForgotten,
    status=201,
    takes=bodies.QuoteWish,
    scope="payments:write",
)
def make_quote() -> Response:
    wish = asked(bodies.QuoteWish)
    made = quotes_offer.offer(deps(), wallet(), wish.rail, wish.amount, wish.gpu_hours)
    return answer(made, 201)


@blueprint.get("/quotes/<quote_id>")
@operation("One of the wallet's quotes", quotes_offer.QuoteView, scope="account:read")
def read_quote(quote_id: str) -> Response:
    return answer(quotes_offer.read(deps(), wallet(), quote_id))


@blueprint.get("/deposits")
@operation("The wallet's deposits, newest first", shapes.Deposits, scope="account:read")
def list_deposits() -> Response:
    return answer(shapes.Deposits(deposits.list_deposits(deps(), wallet())))


@blueprint.post("/deposits")
@limited("deposit-hint", 60)
@operation(
    "What a transaction amounts to; deposits are found without it, too",
    DepositView,
    DepositNotFound,
    TransactionFailed,
    NothingForUs,
    UnsupportedToken,
    ChainUnavailable,
    NodesDisagree,
    StateForgotten,
    takes=bodies.DepositHint,
    scope="payments:write",
)
def hint() -> Response:
    return answer(deposits.hint(deps(), wallet(), asked(bodies.DepositHint).tx_hash))
