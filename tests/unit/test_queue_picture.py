"""The picture of the GPUs over time: counts that never exceed a host, and nobody's name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.planner import Host, Running, Slot, Waiting, plan
from controller.domain.planner.picture import Step, picture
from controller.domain.planner.words import Policy

HOUR = 3_600_000


def test_use_ends_where_the_place_of_the_reader_begins():
    (drawn,) = picture(
        0,
        [Host("a", 8)],
        [Running("r", "a", 4, 2 * HOUR, 2 * HOUR), Running("past", "a", 4, 0, 0)],
        [(8, Slot("a", 2 * HOUR, HOUR), True), (2, Slot("a", 3 * HOUR, 20 * HOUR), False)],
        horizon_ms=12 * HOUR,
    )
    assert drawn.gpus == 8
    assert drawn.steps == (Step(0, 4, 0, 0), Step(2 * HOUR, 0, 0, 8), Step(3 * HOUR, 0, 2, 0))


sizes = st.sampled_from([1, 2, 4, 8])


@given(
    st.lists(st.tuples(sizes, st.integers(1, 9 * HOUR)), max_size=9),
    st.lists(st.tuples(sizes, st.integers(1, 9 * HOUR)), max_size=9),
)
def test_what_the_planner_plans_never_draws_more_gpus_than_a_host_has(running, waiting):
    left, sessions = 8, []
    for number, (gpus, until) in enumerate(running):
        if gpus <= left:
            left -= gpus
            sessions.append(Running(f"r{number}", "a", gpus, until, until))
    claims = [Waiting(f"w{n}", gpus, n, length) for n, (gpus, length) in enumerate(waiting)]
    decided = plan(0, [Host("a", 8)], sessions, claims, policy=Policy())
    sizes = {claim.id: claim.gpus for claim in claims}
    held = [Running(s.claim, "a", sizes[s.claim], s.until, s.until) for s in decided.starts]
    places = [(sizes[i], slot, i == "w0") for i, slot in decided.slots.items()]
    (drawn,) = picture(0, [Host("a", 8)], sessions + held, places, horizon_ms=99 * HOUR)
    for step in drawn.steps:
        assert 0 <= step.in_use + step.planned + step.yours <= 8
    assert not drawn.steps[-1].in_use
