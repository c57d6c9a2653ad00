"""Three nodes of one chain that do as they are told, and readers of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from chainkit import Chain, anvil_fixture  # noqa: F401
from hostile_node import HostileNode, hostile
from reader_kit import settings_for

from controller.adapters.chain import Web3Chain


class Time:
    """A monotonic clock that stands until it is set."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="module")
def proxies(anvil: Chain) -> Iterator[list[HostileNode]]:
    with ExitStack() as opened:
        yield [opened.enter_context(hostile(anvil.rpc_url)) for _ in range(3)]


@pytest.fixture
def nodes(proxies: list[HostileNode]) -> list[HostileNode]:
    for node in proxies:
        node.heal()
        node.asked.clear()
    return proxies


@pytest.fixture
def made(anvil: Chain, time: Time) -> Iterator:
    """Makes a reader of some nodes."""
    with ExitStack() as opened:

        def make(*nodes: HostileNode, **sections) -> Web3Chain:
            chain = {**sections.pop("chain", {}), "rpc_urls": [node.url for node in nodes]}
            settings = settings_for(anvil, chain=chain, **sections)
            return opened.enter_context(closing(Web3Chain(settings, monotonic=time)))

        yield make
