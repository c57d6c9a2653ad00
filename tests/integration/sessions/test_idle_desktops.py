"""Idle truth on the platform: measured only where wanted, told first, ended on proof, never while it works."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, OTHER, WALLET, make_platform

from controller.errors import BadInput, NotYours, WrongState
from controller.services.sessions import facade as sessions
from controller.services.sessions import idle

pytestmark = pytest.mark.integration
REST = {"input": False, "cpu_percent": 2.0, "io_kib_per_s": 1.0}


@pytest.fixture
def running(platform):
    """A Small desktop that was left to itself; its id."""
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    return view.id


def live(platform, minutes, **changes):
    """So many minutes pass, each with a guard's report; what the platform did on the way."""
    did = []
    for _ in range(minutes):
        began = platform.clock.now_ms()
        platform.clock.advance(MINUTE)
        seen = {"from_ms": began, "to_ms": platform.clock.now_ms()} | REST | changes
        found = [{"slot": slot} | seen for slot in platform.provisioner.containers]
        platform.report(activity=found, gpu_percents={})
        did.append(idle.look(platform.deps))
    return did


def state(platform):
    return platform.rows("SELECT state, end_reason, bill_until_ms FROM gpu_session ORDER BY claimed_at_ms")[
        -1
    ]


def warnings(platform):
    return [text for (text,) in platform.rows("SELECT text FROM warning WHERE key LIKE '%:idle:%'")]


def test_off_by_default_it_is_not_even_measured(platform, running):
    assert platform.report()["measure"] is False
    assert set(live(platform, 40)) == {0}
    assert (state(platform).state, warnings(platform)) == ("running", [])


def test_its_owner_wants_it_is_told_and_it_ends_with_everything_billed_to_the_proof(platform, running):
    sessions.choose_idle(platform.deps, WALLET, running, 10)
    assert platform.report()["measure"] is True
    assert live(platform, 9) == [0] * 9
    assert live(platform, 1) == [1]
    told = sessions.current(platform.deps, WALLET)
    assert told is not None
    assert (told.idle_minutes, told.idle_ends_at_ms) == (10, platform.clock.now_ms() + 5 * MINUTE)
    assert "ends in 5 minutes, files are kept" in warnings(platform)[0]
    assert [w["text"] for w in platform.report()["warnings"]] == warnings(platform)
    assert live(platform, 5) == [0, 0, 0, 0, 1]
    platform.work()
    assert state(platform) == ("ended", "nothing happened there for 15 minutes", platform.clock.now_ms())
    assert len(warnings(platform)) == 1


@pytest.mark.parametrize(
    "sign", [{"input": True}, {"cpu_percent": 80.0}, {"io_kib_per_s": 900.0}, {"cpu_percent": None}]
)
def test_a_desktop_that_works_is_left_alone_and_a_sign_after_the_notice_voids_it(platform, running, sign):
    sessions.choose_idle(platform.deps, WALLET, running, 10)
    assert set(live(platform, 60, **sign)) == {0}
    live(platform, 12)
    assert len(warnings(platform)) == 1
    live(platform, 1, **sign)
    current = sessions.current(platform.deps, WALLET)
    assert current is not None
    assert current.idle_ends_at_ms is None
    live(platform, 9)
    assert state(platform).state == "running"


def test_who_returns_is_there(platform, running):
    sessions.choose_idle(platform.deps, WALLET, running, 10)
    live(platform, 14)
    assert sessions.heartbeat(platform.deps, WALLET, running).idle_ends_at_ms is not None
    sessions.attach(platform.deps, WALLET, running)
    assert sessions.heartbeat(platform.deps, WALLET, running).idle_ends_at_ms is None
    assert set(live(platform, 9)) == {0}


def test_a_silent_guard_proves_nothing(platform, running):
    sessions.choose_idle(platform.deps, WALLET, running, 10)
    live(platform, 8)
    platform.clock.advance(30 * MINUTE)
    assert set(live(platform, 9)) == {0}
    assert warnings(platform) == []


def test_of_real_gpus_each_must_be_known_to_rest(database):
    platform = make_platform(database, idle={"end_after_minutes": 10})
    platform.add_host(simulated=False, gpus=2)
    platform.credit(WALLET, 600)
    view = sessions.claim(platform.deps, WALLET, "medium")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    assert platform.report()["measure"] is True
    assert set(live(platform, 30)) == {0}, "nvidia-smi said nothing of either"
    began = platform.clock.now_ms()
    slot = next(iter(platform.provisioner.containers))
    for one, other in ((0.0, 97.0), (0.0, 0.0)):
        for minute in range(12):
            at = began + minute * MINUTE
            seen = {"slot": slot, "from_ms": at, "to_ms": at + MINUTE} | REST
            percents = {"SIM-local-0": one, "SIM-local-1": other}
            platform.report(activity=[seen], gpu_percents=percents)
        began += 12 * MINUTE
        platform.clock.advance(12 * MINUTE)
        assert idle.look(platform.deps) == (0 if other else 1)


def test_only_its_owner_chooses_and_only_for_a_desktop_that_lives(platform, running):
    with pytest.raises(NotYours):
        sessions.choose_idle(platform.deps, OTHER, running, 10)
    with pytest.raises(BadInput):
        sessions.choose_idle(platform.deps, WALLET, running, 20_000)
    sessions.end(platform.deps, WALLET, running)
    with pytest.raises(WrongState):
        sessions.choose_idle(platform.deps, WALLET, running, 10)


def test_a_wallets_choice_holds_for_its_live_desktop_and_each_new_one_and_for_nobody_else(platform, running):
    assert sessions.choose_idle_for_all(platform.deps, WALLET, 30) == 30
    assert sessions.current(platform.deps, WALLET).idle_minutes == 30
    sessions.end(platform.deps, WALLET, running)
    platform.work()
    sessions.claim(platform.deps, WALLET, "small")
    platform.credit(OTHER, 60)
    sessions.claim(platform.deps, OTHER, "small")
    platform.work()
    chosen = dict(platform.rows("SELECT wallet, idle_minutes FROM gpu_session WHERE state = 'running'"))
    assert chosen == {WALLET: 30, OTHER: 0}
    one = sessions.current(platform.deps, WALLET)
    sessions.choose_idle(platform.deps, WALLET, one.id, 0)
    assert sessions.current(platform.deps, WALLET).idle_minutes == 0, "one desktop may be another case"
    with pytest.raises(BadInput):
        sessions.choose_idle_for_all(platform.deps, WALLET, idle.MOST_MINUTES + 1)
    assert platform.rows("SELECT idle_minutes FROM wallet WHERE address = :w", w=WALLET) == [(30,)]


def test_an_idle_desktop_of_a_wallet_that_chose_once_ends(platform):
    sessions.choose_idle_for_all(platform.deps, WALLET, 10)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.detach(platform.deps, WALLET, view.id)
    assert platform.report()["measure"] is True
    live(platform, 20)
    assert state(platform).state == "ending"


def test_a_shell_takes_no_idle_time(platform):
    sessions.choose_idle_for_all(platform.deps, WALLET, 10)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0RDBFI1nhR6bMWCTp9Hh0AEYyjI3n3OKaKRXmCsuXo"
    sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=key)
    assert platform.rows("SELECT kind, idle_minutes FROM gpu_session") == [("ssh", 0)]
