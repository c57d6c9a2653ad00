"""A deposit that is credited returns its wallet's session from grace at once, not at the next look."""

from __future__ import annotations

import pytest
from fakes import ETHER, FakeChain, payment
from session_kit import MINUTE, OTHER, WALLET, make_platform

from controller.services.deposits import of_wallet as deposits
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE
DOLLAR = ETHER // 2_000


@pytest.fixture
def in_grace(database):
    # The wallet of these tests has the address that is the token's elsewhere.
    platform = make_platform(database, axgt={"contract": "0x" + "a9" * 20})
    platform.add_host()
    platform.credit(WALLET, 60)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    platform.pass_time(HOUR + 5_000)
    expiry.expire(platform.deps)
    assert state(platform) == "grace"
    return platform


def state(platform):
    ((found,),) = platform.rows("SELECT state FROM gpu_session")
    return found


def test_the_watcher_returns_a_session_from_grace_with_the_credit(in_grace):
    chain: FakeChain = in_grace.deps.chain
    chain.mine(5, [payment(WALLET, DOLLAR)])
    deposits.watch_once(in_grace.deps)
    assert state(in_grace) == "grace"
    chain.mine()
    deposits.watch_once(in_grace.deps)
    assert (state(in_grace), in_grace.balance()) == ("running", HOUR)


def test_somebody_elses_deposit_or_one_below_the_minimum_returns_nothing(in_grace):
    chain: FakeChain = in_grace.deps.chain
    chain.mine(6, [payment(OTHER, DOLLAR), payment(WALLET, DOLLAR - 1, tx="less")])
    deposits.watch_once(in_grace.deps)
    assert (state(in_grace), in_grace.balance()) == ("grace", 0)
