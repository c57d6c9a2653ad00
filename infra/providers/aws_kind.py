"""What a kind of EC2 resource is to the bundled provider, and when two descriptions of one differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from infra.providers.protocol import Properties


@dataclass(frozen=True)
class Shape:
    """Which inputs are served, which of them make another thing, what EC2 takes where one is not given.

    `settled` inputs say how we act and are no property of the thing; `required` ones must be given.
    """

    served: frozenset[str]
    replaces: frozenset[str]
    settled: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


class Kind(Protocol):
    """One kind of resource."""

    @property
    def shape(self) -> Shape:
        """Its inputs."""
        ...

    def create(self, urn: str, wanted: Properties) -> str:
        """Make it, or take over what a broken-off run made; returns its ID at once, it may not be ready."""
        ...

    def settle(self, id_: str, wanted: Properties) -> None:
        """Wait until it can be used, and bring one that was taken over to what is wanted."""
        ...

    def read(self, id_: str, props: Properties) -> Properties | None:
        """As it really is, given how it was recorded; None where it is gone."""
        ...

    def update(self, id_: str, real: Properties, wanted: Properties) -> None:
        """Change what can be changed in place."""
        ...

    def delete(self, id_: str, props: Properties) -> None:
        """Remove it and wait until it is gone; one that is gone is no error."""
        ...


def differing(real: Properties, wanted: Properties, former: Properties, shape: Shape) -> list[str]:
    """Names of the inputs in which a thing differs from what is wanted; what nobody names is left to EC2.

    Args:
        real: the thing as last read.
        wanted: the inputs now.
        former: the inputs it was made from.
        shape: its kind.
    """
    named = {key for key in shape.served - shape.settled if _given(wanted, key) or _given(former, key)}
    return sorted(key for key in named if not _same(real.get(key), _wanted(key, wanted, shape)))


def _given(inputs: Properties, key: str) -> bool:
    return inputs.get(key) is not None


def _wanted(key: str, wanted: Properties, shape: Shape) -> Any:
    value = wanted.get(key)
    return shape.defaults.get(key) if value is None else value


def _same(real: Any, wanted: Any) -> bool:
    """Equal in what is wanted: of a nested part only the names given count; lists are sets; 1 is 1.0."""
    if isinstance(wanted, Mapping) and not isinstance(real, list):
        have = real or {}
        if set(wanted) - set(have) or _all_text(wanted):
            return dict(wanted) == dict(have)
        return all(_same(have.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return _as_set(real or []) == _as_set(wanted)
    return bool((real or None) == (wanted or None))


def _all_text(values: Mapping[str, Any]) -> bool:
    """Tags and the like, where one name more is a difference too."""
    return all(isinstance(value, str) for value in values.values()) and "axonos:instance" in values


def _as_set(items: list[Any]) -> set[Any]:
    return {piece for item in items for piece in (_ways(item) if isinstance(item, Mapping) else [item])}


def _ways(rule: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """One way through a security group for each block of addresses."""
    head = (str(rule.get("protocol")), int(rule.get("fromPort") or 0), int(rule.get("toPort") or 0))
    head = (head[0], 0, 0) if head[0] == "-1" else head
    return [(*head, cidr) for key in ("cidrBlocks", "ipv6CidrBlocks") for cidr in rule.get(key) or []]
