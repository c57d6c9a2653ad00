"""The OpenAPI 3.1 document, from the declarations beside the views; nothing of it is written by hand."""

from __future__ import annotations

import re
from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, jsonify
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from controller.web import openapi_errors as errors
from controller.web.answers import TOKEN_AMOUNTS
from controller.web.context import EXTENSION
from controller.web.operations import Operation, Reply, operation, operation_of

PREFIX = "/api/"
SCHEMAS = "#/components/schemas/"
VERSION = "1"
ABOUT = """Profiles, sessions, money and keys of one wallet.

A program sends an API token (`Authorization: Bearer axonos_…`), made on the page `/tokens` with scopes and an
end. A browser sends its cookie and, with every POST, its `Origin` and the header `X-CSRF-Token`. Errors are
`{"error": {"code", "message", "retry", …}}`. Amounts of tokens are texts in the smallest unit; credit is
integer GPU-milliseconds: 60 000 are one minute of one GPU.

An agent without either pays (`/api/x402/…`): the answer 402 holds the terms of x402, versions 1 and 2."""
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "axonos_ID_SECRET"},
    "session": {"type": "apiKey", "in": "cookie", "name": "axonos_session"},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
    "payment": {"type": "apiKey", "in": "header", "name": "PAYMENT-SIGNATURE"},
    "payment_v1": {"type": "apiKey", "in": "header", "name": "X-PAYMENT"},
    "sign_in_with_x": {"type": "apiKey", "in": "header", "name": "SIGN-IN-WITH-X"},
    "session_token": {"type": "http", "scheme": "bearer", "bearerFormat": "axonos_session_SECRET"},
}
Route = tuple[str, str, Operation]
blueprint = Blueprint("openapi", __name__)


@blueprint.get("/api/openapi.json")
@operation("This document", dict[str, Any], public=True)
def show() -> Response:
    known = current_app.extensions[EXTENSION]
    if "openapi" not in known:
        known["openapi"] = document(current_app)
    return jsonify(known["openapi"])


def document(app: Flask) -> dict[str, Any]:
    """The whole document for an application's routes; call it in the application's context."""
    routes = list(_routes(app))
    refs, schemas = _schemas(routes)
    paths: dict[str, Any] = {}
    for path, method, declared in routes:
        paths.setdefault(path, {})[method] = _operation(path, method, declared, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "AxonOS", "version": VERSION, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


def _routes(app: Flask) -> list[Route]:
    """Declared routes as (path, method, declaration), in order of their paths."""
    found = [
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower(), declared)
        for rule in app.url_map.iter_rules()
        for method in ("GET", "POST")
        if method in (rule.methods or ()) and (declared := operation_of(rule.endpoint))
    ]
    return sorted(found, key=lambda route: route[:2])


def _schemas(routes: list[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """A schema for every model of a body, a query or an answer, and of every error."""
    wanted: dict[tuple[Any, JsonSchemaMode], TypeAdapter[Any]] = {}
    for _, _, declared in routes:
        if declared.takes:
            wanted.setdefault((declared.takes, "validation"), TypeAdapter(declared.takes))
        for kind in (declared.answer, *(reply.answer for reply in declared.replies.values())):
            if not isinstance(kind, str):
                wanted.setdefault((kind, "serialization"), TypeAdapter(kind))
    asked = [(kind, mode, adapter.core_schema) for (kind, mode), adapter in wanted.items()]
    made = GenerateJsonSchema(ref_template=SCHEMAS + "{model}")
    refs, models = cast("tuple[dict[Any, Any], dict[str, Any]]", made.generate_definitions(asked))
    told = {errors.name(t): errors.schema(t) for route in routes for t in _errors(*route)}
    return refs, {name: _amounts_as_texts(model) for name, model in sorted(models.items())} | told


def _operation(path: str, method: str, declared: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    words = re.sub(r"[{}]", "", path.removeprefix(PREFIX).removeprefix("v1/")).strip("/.")
    found: dict[str, Any] = {
        "operationId": f"{method}_{re.sub(r'[^A-Za-z0-9]+', '_', words)}",
        "summary": declared.summary,
        "security": _security(method, declared),
        "parameters": [
            *_in_path(path),
            *_in("query", declared.query),
            *_in("header", declared.headers),
        ],
        "responses": errors.responses(_errors(path, method, declared)) | _replies(declared, refs),
    }
    if declared.takes:
        body = refs[declared.takes, "validation"]
        found["requestBody"] = {
            "required": any(f.is_required() for f in declared.takes.model_fields.values()),
            "content": {"application/json": {"schema": body}},
        }
    return found


def _errors(path: str, method: str, declared: Operation) -> list[errors.Told]:
    found = errors.errors_of(declared, post=method == "post", in_path="{" in path)
    return [told for told in found if told.status not in declared.replies]


def _security(method: str, declared: Operation) -> list[dict[str, list[str]]]:
    if declared.ways:
        return [{way: []} for way in declared.ways]
    browser = {"session": [], "csrf": []} if method == "post" else {"session": list[str]()}
    token = [{"token": [declared.scope]}] if declared.scope else []
    return [*token, {}] if declared.public else [*token, browser]


def _replies(declared: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    """Every answer that is no error of ours, by its status."""
    usual = Reply(declared.answer, declared.summary, declared.answer_headers)
    every = {declared.status: usual} | dict(declared.replies)
    return {str(status): _reply(reply, refs) for status, reply in sorted(every.items())}


def _reply(reply: Reply, refs: dict[Any, Any]) -> dict[str, Any]:
    bare = isinstance(reply.answer, str)
    media = reply.answer if bare else "application/json"
    schema = {"type": "string"} if bare else refs[reply.answer, "serialization"]
    found: dict[str, Any] = {"description": reply.about, "content": {media: {"schema": schema}}}
    if reply.headers:
        text = {"schema": {"type": "string"}}
        found["headers"] = {name: {"description": about, **text} for name, about in reply.headers.items()}
    return found


def _in_path(path: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1, "pattern": r"^[^/\x00]+$"}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in(where: str, model: type[BaseModel] | None) -> list[dict[str, Any]]:
    """A model's fields as parameters in the query or in headers."""
    if model is None:
        return []
    whole = TypeAdapter(model).json_schema()
    needed = whole.get("required", [])
    return [
        {"name": name, "in": where, "required": name in needed, "schema": schema.get("anyOf", [schema])[0]}
        for name, schema in whole["properties"].items()
    ]


def _amounts_as_texts(model: dict[str, Any]) -> dict[str, Any]:
    """As `answers.plain` writes them: readers of JSON round integers above 2^53."""
    for name in TOKEN_AMOUNTS & model.get("properties", {}).keys():
        field = model["properties"][name]
        for part in (field, *field.get("anyOf", [])):
            if part.get("type") == "integer":
                part.update(type="string", pattern="^-?[0-9]+$")
    return model
