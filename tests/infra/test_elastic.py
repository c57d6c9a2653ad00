"""The rule by which a pool grows and shrinks."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from infra.elastic import Claim, Limits, Member, decide

MINUTE = 60_000
LIMITS = Limits(floor=0, cap=3, gpus_per_host=4, patience_ms=10 * MINUTE, idle_ms=30 * MINUTE)
NOW = 1_000 * MINUTE


def late(gpus=1, **more):
    return Claim(gpus, NOW - MINUTE, None, **more)


def busy(number):
    return Member(f"gpu-{number}", "ready", sessions=1)


def idle(number, minutes=60, homes=0):
    return Member(f"gpu-{number}", "ready", homes=homes, idle_since_ms=NOW - minutes * MINUTE)


def step(claims=(), members=(), limits=LIMITS):
    found = decide(NOW, claims, members, limits)
    return found.action, found.hosts or found.count


def test_promises_that_cannot_be_kept_in_time_call_for_machines_up_to_the_cap():
    since = NOW - MINUTE
    assert step([Claim(1, since, NOW + 5 * MINUTE)]) == ("stay", 0)
    assert step([Claim(1, since, NOW + 11 * MINUTE)]) == ("grow", 1)
    assert step([Claim(1, since, NOW + MINUTE, broken=True)]) == ("grow", 1)
    assert step([Claim(1, NOW - 29_999, None)]) == ("stay", 0), "too new to have a promise"
    assert step([late(4), late(4), late(1)]) == ("grow", 3)
    assert step([late(4)] * 9, [busy(0)]) == ("grow", 2)
    assert step([late(4)] * 9, [busy(0), busy(1), busy(2)]) == ("stay", 0)


def test_machines_on_their_way_are_counted_and_leaving_ones_called_back():
    coming = Member("gpu-1", "absent")
    assert step([late(4)], [busy(0), coming]) == ("stay", 0)
    assert step([late(4), late(4)], [busy(0), coming]) == ("grow", 1)
    arriving = Member("gpu-1", "arriving", idle_since_ms=0)
    assert step([late(4)], [busy(0), arriving]) == ("stay", 0), "its image is on its way"
    assert step([], [busy(0), arriving]) == ("stay", 0), "and it is neither drained nor removed meanwhile"
    leaving = Member("gpu-2", "draining")
    assert step([late(4)], [busy(0), leaving]) == ("resume", ("gpu-2",))


def test_who_fits_no_machine_of_the_pool_calls_for_none():
    assert step([late(8)]) == ("stay", 0)
    assert step([late(1, gpu_model="H100")]) == ("stay", 0)
    labelled = replace(LIMITS, gpu_model="H100")
    assert step([late(1, gpu_model="H100"), late(4)], limits=labelled) == ("grow", 2)
    assert step([late(1, gpu_model="T4")], limits=labelled) == ("stay", 0)


def test_idle_machines_are_drained_then_removed_one_at_a_time_above_the_floor():
    members = [idle(0), idle(1), busy(2)]
    assert step(members=members) == ("drain", ("gpu-1",))
    assert step(members=[idle(0), Member("gpu-1", "draining"), busy(2)]) == ("remove", ("gpu-1",))
    assert step(members=[idle(0, minutes=29)]) == ("stay", 0)
    assert step(members=[idle(0, homes=0), idle(1, homes=5)]) == ("drain", ("gpu-0",))
    floor = Limits(2, 3, 4, 10 * MINUTE, 30 * MINUTE)
    assert step(members=[idle(0), idle(1)], limits=floor) == ("stay", 0)
    assert step(members=[idle(0)], limits=floor) == ("grow", 1)


def test_a_machine_with_sessions_never_goes():
    assert step(members=[Member("gpu-0", "draining", sessions=1)]) == ("stay", 0)


members = st.builds(
    Member,
    st.sampled_from([f"gpu-{n}" for n in range(9)]),
    st.sampled_from(["ready", "draining", "removed", "lost", "absent"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(0, NOW)),
)
claims = st.builds(
    Claim, st.integers(1, 8), st.integers(0, NOW), st.one_of(st.none(), st.integers(0, 2 * NOW))
)


@given(st.lists(claims, max_size=9), st.lists(members, max_size=3, unique_by=lambda m: m.name))
def test_whatever_happens_the_cap_holds_and_nobody_loses_a_session(waiting, pool):
    found = decide(NOW, waiting, pool, LIMITS)
    assert len(pool) + found.count <= LIMITS.cap
    named = {member.name: member for member in pool}
    if found.action in {"drain", "remove"}:
        assert all(named[name].sessions == 0 for name in found.hosts)
