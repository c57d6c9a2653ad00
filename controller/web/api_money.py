"""Rates, quotes, deposits and the statement. What is credited comes from the chain, never from a request."""

from __future__ import annotations

import csv
import io
import json

from flask import Blueprint, Response

from controller.services import deposits, ledger, quotes_offer
from controller.services import rates as rates_service
from controller.web.answers import answer
from controller.web.context import body, deps, rate_board, text_field, wallet, wallet_or_none
from controller.web.guarding import limited

STATEMENT_LINES = 1_000
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


@blueprint.get("/statement")
def statement() -> Response:
    return answer({"lines": ledger.statement(deps(), wallet(), STATEMENT_LINES)})


@blueprint.get("/statement.csv")
def statement_csv() -> Response:
    lines = ledger.statement(deps(), wallet(), STATEMENT_LINES)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["at_ms", "kind", "gpu_ms", "balance_after_gpu_ms", "why"])
    for line in lines:
        why = json.dumps(line.why, sort_keys=True)
        rows.writerow([line.at_ms, line.kind, line.gpu_ms, line.balance_after_gpu_ms, why])
    headers = {"Content-Disposition": 'attachment; filename="axonos-statement.csv"'}
    return Response(out.getvalue(), mimetype="text/csv", headers=headers)
