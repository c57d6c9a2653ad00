"""Requests about homes between hosts, checked field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.host.home_snapshots import NAME
from controller.host.request import COMMON, Check, checked, is_flag, matches, whole
from controller.host.words import HostRefused

MAX_SNAPSHOTS = 64


@dataclass(frozen=True)
class ListRequest:
    """A home to look at."""

    instance: str
    home: str


@dataclass(frozen=True)
class SendRequest:
    """A snapshot to take and send; `have` is what the other host has, name to identity.

    With `close` this host gives the home up to `generation`, and opens it again only for a later one.
    """

    instance: str
    home: str
    name: str
    have: dict[str, str]
    close: bool
    generation: int


@dataclass(frozen=True)
class ReceiveRequest:
    """A snapshot that comes."""

    instance: str
    home: str
    name: str


@dataclass(frozen=True)
class ForgetRequest:
    """Snapshots that stay; all others of the home go."""

    instance: str
    home: str
    keep: tuple[str, ...]


@dataclass(frozen=True)
class ChangeRequest:
    """An order about a home; `token` counts them. `generation` and `base` are as for a start.

    `name` is a snapshot, `keep` the one that is made before a restore.
    """

    instance: str
    home: str
    what: str
    token: int
    generation: int
    base: str
    name: str
    keep: str


WHAT = ("snapshot", "drop", "restore", "prune", "recover", "delete")
HOME = matches(r"0x[0-9a-f]{40}")
_NAME = matches(NAME.pattern)
_IDENTITY = matches(r"[0-9a-f-]{36}")
_BASE: dict[str, Check] = {"instance": COMMON["instance"], "home": HOME}


def _have(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_SNAPSHOTS
        and all(_NAME(name) and _IDENTITY(identity) for name, identity in value.items())
    )


def _names(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_SNAPSHOTS and all(map(_NAME, value))


def parse_list(data: Any) -> ListRequest:
    """Check it. Raises HostRefused bad_input; so do the others."""
    return ListRequest(**checked(data, _BASE))


def parse_send(data: Any) -> SendRequest:
    """Check it."""
    more: dict[str, Check] = {"name": _NAME, "have": _have, "close": is_flag, "generation": whole(1, 2**53)}
    return SendRequest(**checked(data, _BASE | more))


def parse_receive(data: Any) -> ReceiveRequest:
    """Check it."""
    return ReceiveRequest(**checked(data, _BASE | {"name": _NAME}))


def parse_forget(data: Any) -> ForgetRequest:
    """Check it."""
    fields = checked(data, _BASE | {"keep": _names})
    return ForgetRequest(**{**fields, "keep": tuple(fields["keep"])})


def parse_change(data: Any) -> ChangeRequest:
    """Check it."""
    own = matches(r"s-[0-9]{1,15}|")
    more: dict[str, Check] = {
        "what": lambda value: value in WHAT,
        "token": whole(1, 2**53),
        "generation": whole(0, 2**53),
        "base": matches(rf"(?:{NAME.pattern})?"),
        "name": own,
        "keep": own,
    }
    request = ChangeRequest(**checked(data, _BASE | more))
    needs = {"snapshot": [request.name], "drop": [request.name], "restore": [request.name, request.keep]}
    if not all(needs.get(request.what, ["-"])):
        raise HostRefused("bad_input", f"{request.what} needs the name of a snapshot")
    return request
