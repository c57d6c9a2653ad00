"""The statement for programs: pages and streams of single transfers; and a deposit's new owner."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict

from flask import Blueprint, Response

from controller.domain.assign_deposit import Assignment
from controller.errors import BadInput
from controller.services import assignments
from controller.services import statement as service
from controller.services.deps import Deps
from controller.web.answers import answer
from controller.web.context import body, deps, number_arg, text_field, wallet
from controller.web.guarding import limited
from controller.web.statement_words import safe_cell, what_of, why_of

COLUMNS = ("at_ms", "kind", "gpu_ms", "balance_after_gpu_ms", "what", "reason", "why")
blueprint = Blueprint("api_statement", __name__, url_prefix="/api/v1")


@blueprint.get("/statement")
@limited("statement", 120)
def statement() -> Response:
    before, limit = number_arg("before"), number_arg("limit")
    return answer(service.page(deps(), wallet(), before, limit or service.PAGE))


@blueprint.get("/statement.csv")
@limited("statement-export", 12)
def statement_csv() -> Response:
    return _file(_csv(deps(), wallet()), "text/csv", "csv")


@blueprint.get("/statement.json")
@limited("statement-export", 12)
def statement_json() -> Response:
    return _file(_json(deps(), wallet()), "application/json", "json")


@blueprint.post("/deposits/assign/words")
@limited("assign", 20)
def assign_words() -> Response:
    wallet()
    words = (text_field("tx_hash", limit=80), text_field("event_index", limit=130))
    return answer(assignments.words(deps(), _whole("chain_id"), *words, text_field("beneficiary", limit=42)))


@blueprint.post("/deposits/assign")
@limited("assign", 20)
def assign() -> Response:
    asked = Assignment(
        chain_id=_whole("chain_id"),
        tx_hash=text_field("tx_hash", limit=80),
        event_index=text_field("event_index", limit=130),
        beneficiary=text_field("beneficiary", limit=42),
        nonce=_whole("nonce"),
        deadline_s=_whole("deadline"),
    )
    signature = text_field("signature", limit=16_384)
    return answer(assignments.assign(deps(), wallet(), asked, signature))


def _whole(name: str) -> int:
    """A whole number of the JSON body, as a number or, where it is large, as text; raises BadInput."""
    value = body().get(name)
    text = str(value)
    if isinstance(value, bool) or not (text.isdecimal() and text.isascii() and len(text) <= 78):
        raise BadInput(f"`{name}` must be a whole number.", field=name)
    return int(text)


def _file(content: Iterator[str], mimetype: str, suffix: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="axonos-statement.{suffix}"'}
    return Response(content, mimetype=mimetype, headers=headers)


def _csv(to: Deps, owner: str) -> Iterator[str]:
    chains = {chain.chain_id: chain.name for chain in to.settings.chains}
    yield _row(COLUMNS)
    for line in service.export(to, owner):
        reason = safe_cell(why_of(line.kind, line.why, line.why, chains))
        evidence = json.dumps(line.why, sort_keys=True)
        told = (line.at_ms, line.kind, line.gpu_ms, line.balance_after_gpu_ms, what_of(line.kind))
        yield _row((*told, reason, evidence))


def _row(cells: tuple[object, ...]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _json(to: Deps, owner: str) -> Iterator[str]:
    yield f'{{"wallet": {json.dumps(owner)}, "lines": ['
    for place, line in enumerate(service.export(to, owner)):
        yield ("," if place else "") + "\n" + json.dumps(asdict(line))
    yield "]}\n"
