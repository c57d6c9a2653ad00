"""Two tabs, or two devices, at one desktop: who works, who is asked, who only looks, and what each may say."""

from __future__ import annotations

import base64
import json

import pytest
from session_kit import MINUTE, OTHER, WALLET

from controller.errors import NotYours, ShownElsewhere
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions
from controller.services.sessions.facade import Tab

pytestmark = pytest.mark.integration
FIRST, SECOND = Tab("first"), Tab("second")
TAKES, LOOKS = Tab("second", takes=True), Tab("second", looks=True)


@pytest.fixture
def running(platform):
    """A Small desktop that the first tab works at; its id."""
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.attach(platform.deps, WALLET, view.id, FIRST)
    return view.id


def looks_only(stream):
    payload = stream.ticket.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["view_only"]


def state(platform):
    return platform.rows("SELECT state, detached, closed_at_ms, seen_at_ms, shown_by FROM gpu_session")[0]


def test_the_second_is_asked_and_changes_nothing_until_it_takes_over(platform, running):
    before = state(platform)
    platform.clock.advance(5_000)
    for ask in (sessions.attach, sessions.heartbeat, sessions.stream):
        with pytest.raises(ShownElsewhere):
            ask(platform.deps, WALLET, running, SECOND)
    assert state(platform) == before
    sessions.attach(platform.deps, WALLET, running, TAKES)
    assert not looks_only(sessions.stream(platform.deps, WALLET, running, SECOND))
    for ask in (sessions.attach, sessions.heartbeat, sessions.stream):
        with pytest.raises(ShownElsewhere):
            ask(platform.deps, WALLET, running, FIRST)


def test_who_was_overtaken_or_only_looks_has_nothing_to_close(platform, running):
    sessions.close(platform.deps, WALLET, running, LOOKS)
    assert state(platform).closed_at_ms is None
    sessions.attach(platform.deps, WALLET, running, TAKES)
    sessions.close(platform.deps, WALLET, running, FIRST)
    assert state(platform).closed_at_ms is None
    sessions.close(platform.deps, WALLET, running, SECOND)
    assert (state(platform).closed_at_ms, state(platform).shown_by) == (platform.clock.now_ms(), "")


def test_looking_is_seen_by_who_works_and_keeps_nothing_open(platform, running):
    assert not sessions.heartbeat(platform.deps, WALLET, running, FIRST).watched
    assert looks_only(sessions.stream(platform.deps, WALLET, running, LOOKS))
    assert sessions.heartbeat(platform.deps, WALLET, running, FIRST).watched
    for _ in range(4):
        platform.pass_time(50_000)
        meter = sessions.heartbeat(platform.deps, WALLET, running, LOOKS)
    assert meter.billed_gpu_ms >= 180_000, "a look settles the meter as any heartbeat does"
    assert expiry.expire(platform.deps) == 1
    platform.work()
    saved = sessions.saved(platform.deps, WALLET)
    assert saved is not None
    assert saved.reason == "nobody was watching"


def test_a_reload_and_a_tab_that_is_gone_are_not_asked(platform, running):
    sessions.attach(platform.deps, WALLET, running, FIRST)
    sessions.close(platform.deps, WALLET, running, FIRST)
    sessions.attach(platform.deps, WALLET, running, SECOND)
    platform.pass_time(MINUTE + 1)  # three heartbeats missed
    sessions.attach(platform.deps, WALLET, running, FIRST)
    assert state(platform).shown_by == "first"


def test_detach_leaves_it_to_whoever_comes(platform, running):
    sessions.detach(platform.deps, WALLET, running)
    assert not sessions.attach(platform.deps, WALLET, running, SECOND).detached


def test_a_program_without_a_tab_is_in_nobodys_way(platform, running):
    sessions.heartbeat(platform.deps, WALLET, running)
    sessions.stream(platform.deps, WALLET, running)
    sessions.heartbeat(platform.deps, WALLET, running, FIRST)


def test_a_look_is_for_the_owner_too(platform, running):
    for ask in (sessions.attach, sessions.heartbeat, sessions.stream, sessions.close):
        with pytest.raises(NotYours):
            ask(platform.deps, OTHER, running, LOOKS)
