"""Rates, quotes and deposits. What is credited comes from the chain, never from a request."""

from __future__ import annotations

from flask import Blueprint, Response

from controller.services import deposits, quotes_offer
from controller.services import rates as rates_service
from controller.web.answers import answer
from controller.web.context import body, deps, rate_board, text_field, wallet, wallet_or_none
from controller.web.guarding import limited

blueprint = Blueprint("api_money", __name__, url_prefix="/api/v1")


@blueprint.get("/rates")
@limited("rates", 120)
def rates() -> Response:
    return answer(rates_service.rates(deps(), rate_board(), wallet_or_none()))


@blueprint.post("/quotes")
@limited("quotes", 12)
def make_quote() -> Response:
    asked = body()
    rail = text_field("rail", limit=8)
    made = quotes_offer.offer(deps(), wallet(), rail, asked.get("amount"), asked.get("gpu_hours"))
    return answer(made, 201)


@blueprint.get("/quotes/<quote_id>")
def read_quote(quote_id: str) -> Response:
    return answer(quotes_offer.read(deps(), wallet(), quote_id))


@blueprint.get("/deposits")
def list_deposits() -> Response:
    return answer({"deposits": deposits.list_deposits(deps(), wallet())})


@blueprint.post("/deposits")
@limited("deposit-hint", 60)
def hint() -> Response:
    return answer(deposits.hint(deps(), wallet(), text_field("tx_hash", limit=80)))
