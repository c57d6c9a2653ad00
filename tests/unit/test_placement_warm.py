"""Where a claim goes when desktops wait: onto one of its size, else where it disturbs none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.placement import FreeHost, place
from controller.domain.stages import StartTimes, stages

GPUS = tuple("abcdefgh")
subsets = st.lists(st.sampled_from(GPUS), min_size=1, max_size=8, unique=True).map(
    lambda found: tuple(sorted(found))
)
hosts = st.lists(
    st.builds(
        FreeHost,
        st.sampled_from(["one", "two", "three"]),
        subsets,
        st.lists(subsets, max_size=4).map(tuple),
    ),
    max_size=3,
    unique_by=lambda host: host.name,
)


@given(st.integers(1, 8), hosts)
def test_a_place_is_free_and_whole(gpus: int, there: list[FreeHost]) -> None:
    found = place(gpus, there)
    fitting = [host for host in there if len(host.free) >= gpus]
    assert (found is None) == (not fitting)
    if found:
        host = next(host for host in there if host.name == found.host)
        assert len(set(found.gpus)) == gpus
        assert set(found.gpus) <= set(host.free)


@given(st.integers(1, 8), hosts)
def test_a_desktop_that_waits_comes_first(gpus: int, there: list[FreeHost]) -> None:
    usable = [
        (host.name, warm)
        for host in there
        for warm in host.warm
        if len(warm) == gpus and set(warm) <= set(host.free)
    ]
    found = place(gpus, there)
    assert not usable or (found is not None and (found.host, found.gpus) in usable)


@given(st.integers(1, 8), hosts)
def test_else_as_few_as_possible_are_disturbed(gpus: int, there: list[FreeHost]) -> None:
    found = place(gpus, there)
    if found is None:
        return
    host = next(host for host in there if host.name == found.host)
    if found.gpus in host.warm:
        return
    used = {gpu for warm in host.warm for gpu in warm}
    bare = len(set(host.free) - used)
    assert len(set(found.gpus) & used) == max(0, gpus - bare)


@given(st.lists(st.integers(0, 10_000), min_size=6, max_size=6))
def test_stages_add_up_to_the_whole_whatever_clocks_say(marks: list[int]) -> None:
    found = stages(StartTimes(*marks, host={"mount_ms": 5}))
    names = ("queue_ms", "take_ms", "ansible_ms", "host_ms", "back_ms")
    assert sum(found[name] for name in names) == found["total_ms"] == max(marks) - marks[0]
    assert all(found[name] >= 0 for name in names)
    assert found["mount_ms"] == 5
