"""Each chain has a loop of its own, which goes on at once while there is something to do."""

from __future__ import annotations

import threading

import pytest
from fakes import FakeChain, make_deps, make_settings

from controller.errors import ChainUnavailable
from controller.worker import chain_loops

BASE = {
    "chain_id": 8453,
    "name": "Base",
    "rpc_urls": ["http://127.0.0.1:1"],
    "genesis_hash": FakeChain.genesis_of("base"),
    "revenue_wallet": "0x" + "ee" * 20,
    "poll_ms": 250,
}


@pytest.fixture
def loops(monkeypatch):
    """The loops of two chains; the home chain has three steps to do, the other is down."""
    left = {84532: [64, 2, 0, 0]}

    def step(_, chain_id):
        if chain_id not in left:
            raise ChainUnavailable
        return left[chain_id].pop(0)

    monkeypatch.setattr(chain_loops, "watch_once", step)
    deps = make_deps(None, settings=make_settings(further_chains=[BASE]), further={8453: FakeChain()})
    return chain_loops.chain_loops(deps, threading.Event()), left


def test_a_chain_that_is_down_holds_no_other_up(loops):
    (home, base), left = loops
    assert [loop.once() for loop in (base, home)] == [False, True]
    assert left[84532] == [0]  # all that there was to do was done in one go
    assert [(loop.name, loop.pause_s) for loop in (home, base)] == [
        ("chain-84532", 1.0),
        ("chain-8453", 0.25),
    ]


def test_a_worker_that_stops_does_not_catch_up_first(loops):
    (home, _), left = loops
    home.stopping.set()
    assert home.once()
    assert len(left[84532]) == 4
