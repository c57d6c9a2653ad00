"""Each chain has a loop of its own, which goes on at once while it is behind and tells when it is cut off."""

from __future__ import annotations

import threading

import pytest
from deposit_kit import BASE, BASE_ID, HOUR, alerts_of, has
from fakes import ALICE, BOB, FakeChain, make_deps, make_settings, payment

from controller.worker import chain_loops

pytestmark = pytest.mark.integration


@pytest.fixture
def chains():
    return FakeChain(), FakeChain(name="base")


@pytest.fixture
def deps(database, chains):
    home, base = chains
    settings = make_settings(further_chains=[{**BASE, "poll_ms": 250}], usdc={"chain_id": BASE_ID})
    return make_deps(database, home, settings=settings, further={BASE_ID: base})


@pytest.fixture
def loops(deps):
    return chain_loops.chain_loops(deps, threading.Event())


def test_a_chain_that_is_down_holds_no_other_up(deps, chains, loops):
    home, base = chains
    home.mine(2_100)  # more than one step
    home.mine(6, [payment()])
    base.mine(6, [payment(BOB, 1_000_000, asset="usdc", position="log:0")])
    base.down = True
    assert [loop.once() for loop in reversed(loops)] == [False, True]
    assert (has(deps, ALICE), has(deps, BOB)) == (2_000 * HOUR, 0)  # all that there was to do in one go
    base.down = False
    assert [loop.once() for loop in loops] == [True, True]
    assert has(deps, BOB) == HOUR
    assert [(loop.name, loop.pause_s) for loop in loops] == [("chain-84532", 1.0), ("chain-8453", 0.25)]


def test_a_worker_that_stops_does_not_catch_up_first(deps, chains, loops):
    chains[0].mine(6, [payment()])
    loops[0].stopping.set()
    assert loops[0].once()
    assert has(deps) == 0


def test_a_chain_that_stays_unreachable_is_an_alert_until_it_answers(deps, chains, loops):
    _, base = chains
    loop = loops[1]
    assert loop.once()
    base.down = True
    assert not loop.once()
    deps.clock.advance(119_999)
    assert not loop.once()
    assert alerts_of(deps) == []
    deps.clock.advance(1)
    assert not loop.once()
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject) == ("chain-unreachable", "8453")
    # Another worker has not seen the outage, and closes the alert all the same.
    base.down = False
    other = chain_loops.chain_loops(deps, threading.Event())[1]
    assert other.once()
    assert alerts_of(deps) == []
