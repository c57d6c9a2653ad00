"""The error answers of a route, as the OpenAPI document has them: code, message and retry of each class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controller.errors import (
    AxonosError,
    BadInput,
    DatabaseUnavailable,
    ForbiddenOrigin,
    NotYours,
    ScopeNeeded,
    SignInNeeded,
    TokenRefused,
    TooManyRequests,
)
from controller.web.answers import MESSAGES
from controller.web.operations import Operation


@dataclass(frozen=True)
class Told:
    """One error as a client meets it."""

    status: int
    code: str
    message: str
    retry: bool


# Answers of the HTTP layer itself, before any view: `answers.on_http_error`.
BAD_REQUEST = Told(400, "bad_request", "The request is no HTTP request that can be read.", retry=False)
TOO_LARGE = Told(413, "request_entity_too_large", MESSAGES[413], retry=False)
EVERYWHERE = (AxonosError, DatabaseUnavailable, ForbiddenOrigin, TooManyRequests)
BY_TOKEN = (TokenRefused, ScopeNeeded)


def errors_of(declared: Operation, *, post: bool, in_path: bool) -> list[Told]:
    """Every error that a route may answer with: its own, and what any request may meet."""
    found: set[type[AxonosError]] = {*EVERYWHERE, *declared.errors}
    if not declared.ways:
        found.update(BY_TOKEN if declared.public else (*BY_TOKEN, SignInNeeded))
    if post or declared.query:
        found.add(BadInput)
    if in_path:
        found.add(NotYours)
    bare = [BAD_REQUEST, TOO_LARGE] if post else [BAD_REQUEST]
    return sorted({*map(_told, found), *bare}, key=lambda told: (told.status, told.code))


def responses(errors: Iterable[Told]) -> dict[str, Any]:
    """The errors by status, each as a reference to `schema`."""
    by_status = defaultdict(list)
    for told in errors:
        by_status[told.status].append(told)
    return {str(status): _response(found) for status, found in sorted(by_status.items())}


def schema(told: Told) -> dict[str, Any]:
    """What stands under `error`; further fields say which field was wrong, how long to wait, and so on."""
    return {
        "type": "object",
        "description": told.message,
        "required": ["code", "message", "retry"],
        "properties": {
            "code": {"const": told.code},
            "message": {"type": "string", "examples": [told.message]},
            "retry": {"const": told.retry, "description": "Whether trying again helps."},
        },
    }


def name(told: Told) -> str:
    """The name of an error's schema."""
    return f"error.{told.code}"


def _told(kind: type[AxonosError]) -> Told:
    return Told(kind.status, kind.code, " ".join((kind.__doc__ or "").split()), kind.retry)


def _response(found: list[Told]) -> dict[str, Any]:
    one_of = [{"$ref": f"#/components/schemas/{name(told)}"} for told in found]
    error = {"type": "object", "required": ["error"], "properties": {"error": {"anyOf": one_of}}}
    return {
        "description": "; ".join(f"`{told.code}`: {told.message}" for told in found),
        "content": {"application/json": {"schema": error}},
    }
