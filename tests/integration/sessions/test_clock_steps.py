"""Clocks that are moved by a day, of the controller and of a host: nobody is billed for it, nobody is ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from session_kit import MINUTE, WALLET

from controller.adapters.clock import SteadyClock
from controller.services.money import metering
from controller.services.reports import reconcile
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions
from controller.worker import clock_loop

pytestmark = pytest.mark.integration
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Machine:
    """A wall clock that can be set, and a count that cannot."""

    def __init__(self, wall: int) -> None:
        self.wall, self.up = wall, 1_000


def test_every_process_of_a_boot_counts_from_one_reading(database):
    machine = Machine(1_800_000_000_000)

    def clock(boot: str) -> SteadyClock:
        return SteadyClock(database, boot_id=boot, wall=lambda: machine.wall, since_boot=lambda: machine.up)

    first = clock("a")
    began = first.now_ms()
    machine.wall, machine.up = machine.wall + DAY, machine.up + 500
    assert first.now_ms() == clock("a").now_ms() == began + 500
    assert first.moved_ms() == DAY - 500
    assert clock("b").now_ms() == machine.wall, "another start of the machine reads it anew"


def test_the_operator_reads_that_the_clock_was_moved(platform, database):
    machine = Machine(platform.clock.now_ms())
    steady = SteadyClock(database, boot_id="a", wall=lambda: machine.wall, since_boot=lambda: machine.up)
    deps = replace(platform.deps, clock=steady)
    assert clock_loop.look(deps) == 0
    machine.wall -= DAY
    assert clock_loop.look(deps) == clock_loop.look(deps) == 1
    ((kind, why),) = platform.rows("SELECT kind, why FROM operator_alert WHERE cleared_at_ms IS NULL")
    assert (kind, "by -86400 s" in why) == ("clock-moved", True)
    machine.wall += DAY
    assert clock_loop.look(deps) == 0
    assert platform.rows("SELECT 1 FROM operator_alert WHERE cleared_at_ms IS NULL") == []


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_day_forward_or_back_bills_nothing_and_ends_nobody(platform, database, step):
    machine = Machine(platform.clock.now_ms())
    steady = SteadyClock(
        database, boot_id="a", wall=lambda: machine.wall, since_boot=lambda: machine.up + platform.clock.ms
    )
    platform.deps = replace(platform.deps, clock=steady)
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.stream(platform.deps, WALLET, view.id)
    for moved in (0, step, 0, -step, step):
        machine.wall += moved
        platform.clock.advance(MINUTE)
        sessions.heartbeat(platform.deps, WALLET, view.id)
        platform.report(at_ms=steady.now_ms())
        metering.tick(platform.deps)
        assert expiry.expire(platform.deps) == 0
        assert reconcile.reconcile(platform.deps) == 0
    assert platform.balance() == HOUR - 5 * MINUTE
    assert platform.rows("SELECT state FROM gpu_session") == [("running",)]


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_a_host_whose_clock_is_wrong_is_put_right_by_the_first_answer(platform, step):
    """The guard's clock follows `now_ms` of each answer (unit tests); only its first word can be wrong."""
    sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    platform.pass_time(MINUTE)
    platform.clock.advance(2_000)
    answer = platform.report(at_ms=platform.clock.now_ms() + step)
    assert answer["now_ms"] == platform.clock.now_ms()
    platform.pass_time(MINUTE)
    assert reconcile.reconcile(platform.deps) == 0
    assert platform.rows("SELECT state FROM gpu_session") == [("running",)]
    assert platform.balance() == HOUR - 2 * MINUTE - 2_000
