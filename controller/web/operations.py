"""What each route of the API is: declared once, at its view; guards and the OpenAPI document read it here.

A view without a declaration takes no API token and is missing in the document, which a test finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, ParamSpec, TypeVar, cast

from flask import current_app
from pydantic import BaseModel

from controller.domain.scopes import SCOPES
from controller.errors import AxonosError

P = ParamSpec("P")
R = TypeVar("R")
_MARK: Final = "axonos_operation"


@dataclass(frozen=True)
class Reply:
    """One answer: its dataclass, or its media type where it is no JSON object; what its headers mean."""

    answer: Any
    about: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One route of the API.

    `answer` is a dataclass, or a media type where the answer is no JSON object, with `answer_headers`;
    `replies` are answers by status that are neither that one nor an error of ours. `takes`, `query` and
    `headers` are models of `bodies`. `scope` is what an API token needs; None: no token will do, only a
    signed-in browser. `public`: nobody has to be signed in; a scope then covers what the answer says about
    the wallet. `ways` are security schemes of the document that take the place of token and cookie. `errors`
    are those of its own; what any request may meet is added in the document.
    """

    summary: str
    answer: Any
    status: int
    takes: type[BaseModel] | None
    query: type[BaseModel] | None
    scope: str | None
    public: bool
    errors: tuple[type[AxonosError], ...]
    replies: Mapping[int, Reply] = field(default_factory=dict)
    headers: type[BaseModel] | None = None
    ways: tuple[str, ...] = ()
    answer_headers: Mapping[str, str] = field(default_factory=dict)


def operation(
    summary: str,
    answer: Any,
    *errors: type[AxonosError],
    status: int = 200,
    takes: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    scope: str | None = None,
    public: bool = False,
    replies: Mapping[int, Reply] | None = None,
    headers: type[BaseModel] | None = None,
    ways: tuple[str, ...] = (),
    answer_headers: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a view as a route of the API; see `Operation`."""
    assert scope is None or scope in SCOPES, scope
    declared = Operation(
        summary,
        answer,
        status,
        takes,
        query,
        scope,
        public,
        errors,
        replies or {},
        headers,
        ways,
        answer_headers or {},
    )

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _MARK, declared)
        return view

    return decorate


def operation_of(endpoint: str | None) -> Operation | None:
    """What an endpoint of the current application declares; None for pages and what machines ask."""
    view: Any = current_app.view_functions.get(endpoint or "")
    return cast("Operation | None", getattr(view, _MARK, None))
