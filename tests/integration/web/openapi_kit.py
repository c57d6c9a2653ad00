"""Holds every answer of the API that a test sees against the OpenAPI document: status, media type, every field."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from controller.web.openapi import document


def watch(app: Flask) -> list[str]:
    """Look at each answer of an application from now on; what is not documented is said in the list."""
    said: list[str] = []

    def look(response: Response) -> Response:
        rule = request.url_rule
        if (
            rule is not None
            and rule.rule.startswith(("/api/", "/.well-known/"))
            and request.method in ("GET", "POST")
        ):
            path = rule.rule.replace("<", "{").replace(">", "}")
            problem = undocumented(path, request.method.lower(), response)
            said.extend([f"{request.method} {path} {response.status_code}: {problem}"] if problem else [])
        return response

    if not _whole:  # every application has the same routes
        with app.app_context():
            _whole.update(_closed(json.loads(json.dumps(document(app)))))
    app.after_request(look)
    return said


_whole: dict[str, Any] = {}


def undocumented(path: str, method: str, response: Response) -> str:
    """What of an answer the document does not have; empty where it has all of it."""
    declared = _whole["paths"].get(path, {}).get(method)
    if declared is None:
        return "the route is not there"
    content = declared["responses"].get(str(response.status_code), {}).get("content")
    if content is None:
        return "the status is not there"
    if response.mimetype not in content:
        return f"{response.mimetype} is not there"
    if response.is_streamed or response.mimetype != "application/json":
        return ""
    wrong = _validator(path, method, str(response.status_code)).iter_errors(response.get_json())
    return "; ".join(str(error).splitlines()[0] for error in wrong)


@functools.cache
def _validator(path: str, method: str, status: str) -> Any:
    schema = _whole["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": _whole["components"]})


def _closed(found: Any) -> Any:
    """The same document without room for fields that it does not name; errors may tell more."""
    for name, schema in found["components"]["schemas"].items():
        if not name.startswith("error.") and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return found
