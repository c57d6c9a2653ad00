"""The statement for programs: pages and streams of single transfers; and a deposit's new owner."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from flask import Blueprint, Response

from controller.domain.assign_deposit import Assignment
from controller.errors import (
    AssignmentRefused,
    ChainUnavailable,
    NodesDisagree,
    NotYours,
    SignInRefused,
    StateForgotten,
)
from controller.services.deps import Deps
from controller.services.money import assignments
from controller.services.money import statement as service
from controller.web import bodies, shapes
from controller.web.answers import answer
from controller.web.bodies import asked
from controller.web.context import deps, number_arg, wallet
from controller.web.guarding import limited
from controller.web.operations import operation
from controller.web.statement_words import safe_cell, what_of, why_of

COLUMNS = ("at_ms", "kind", "gpu_ms", "balance_after_gpu_ms", "what", "reason", "why")


@dataclass(frozen=True)
class StatementFile:
    """Every transfer of a wallet, newest first."""

    wallet: str
    lines: list[service.StatementLine]


blueprint = Blueprint("api_statement", __name__, url_prefix="/api/v1")


@blueprint.get("/statement")
@limited("statement", 120)
@operation(
    "Single transfers with their reason, newest first",
    service.StatementPage,
    query=bodies.Page,
    scope="account:read",
)
def statement() -> Response:
    before, limit = number_arg("before"), number_arg("limit")
    return answer(service.page(deps(), wallet(), before, limit or service.PAGE))


@blueprint.get("/statement.csv")
@limited("statement-export", 12)
@operation("Every transfer, for a spreadsheet", "text/csv", scope="account:read")
def statement_csv() -> Response:
    return _file(_csv(deps(), wallet()), "text/csv", "csv")


@blueprint.get("/statement.json")
@limited("statement-export", 12)
@operation("Every transfer", StatementFile, scope="account:read")
def statement_json() -> Response:
    return _file(_json(deps(), wallet()), "application/json", "json")


@blueprint.post("/deposits/assign/words")
@limited("assign", 20)
@operation(
    "What a deposit's payer signs to give it away",
    shapes.TypedData,
    AssignmentRefused,
    takes=bodies.AssignmentWords,
)
def assign_words() -> Response:
    wallet()
    of = asked(bodies.AssignmentWords)
    words = assignments.words(deps(), of.chain_id, of.tx_hash, of.event_index, of.beneficiary)
    return answer(shapes.TypedData(**words))


@blueprint.post("/deposits/assign")
@limited("assign", 20)
@operation(
    "Give a deposit away by its payer's signature, once",
    assignments.AssignmentView,
    AssignmentRefused,
    SignInRefused,
    NotYours,
    ChainUnavailable,
    NodesDisagree,
    StateForgotten,
    takes=bodies.SignedAssignment,
)
def assign() -> Response:
    of = asked(bodies.SignedAssignment)
    signed = Assignment(
        of.chain_id, of.tx_hash, of.event_index, of.beneficiary, nonce=of.nonce, deadline_s=of.deadline
    )
    return answer(assignments.assign(deps(), wallet(), signed, of.signature))


def _file(content: Iterator[str], mimetype: str, suffix: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="axonos-statement.{suffix}"'}
    return Response(content, mimetype=mimetype, headers=headers)


def _csv(to: Deps, owner: str) -> Iterator[str]:
    chains = {chain.chain_id: chain.name for chain in to.settings.chains}
    yield _row(COLUMNS)
    for line in service.export(to, owner):
        reason = safe_cell(why_of(line.kind, line.why, line.why, chains))
        evidence = json.dumps(line.why, sort_keys=True)
        told = (line.at_ms, line.kind, line.gpu_ms, line.balance_after_gpu_ms, what_of(line.kind, line.why))
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
