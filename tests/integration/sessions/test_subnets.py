"""Which /28 a slot is given: the lowest free one, and not at once one that just failed."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, WALLET, Platform

from controller.services.runs import slots
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
REFUSED = {"code": "docker_error", "message": "networks have same bridge name", "retry": "elsewhere"}


@pytest.fixture
def platform(platform: Platform) -> Platform:
    platform.credit(WALLET, 600)
    return platform


def started(platform: Platform) -> int:
    """The index of a session that is started now."""
    sessions.claim(platform.deps, WALLET, "small")
    for _ in range(3):
        platform.work()
        platform.clock.advance(MINUTE)
    ((index,),) = platform.rows("SELECT subnet_index FROM slot WHERE state = 'up'")
    return int(index)


def test_a_bridge_that_was_refused_rests_for_an_hour(platform):
    platform.provisioner.fail_starts = [REFUSED]
    assert started(platform) == 1
    sessions.end(platform.deps, WALLET, sessions.current(platform.deps, WALLET).id)
    platform.work()
    assert started(platform) == 1, "it came up there before"
    sessions.end(platform.deps, WALLET, sessions.current(platform.deps, WALLET).id)
    platform.work()
    platform.clock.advance(slots.REST_MS)
    assert started(platform) == 0


def test_a_host_that_fails_for_other_reasons_does_not_run_out_of_them(platform):
    platform.provisioner.fail_starts = [REFUSED] * 12
    for _ in range(20):
        if sessions.current(platform.deps, WALLET) is None:
            sessions.claim(platform.deps, WALLET, "small")
        platform.work()
        platform.clock.advance(MINUTE)
    used = {index for (index,) in platform.rows("SELECT subnet_index FROM slot")}
    assert max(used) <= slots.MOST_RESTING
