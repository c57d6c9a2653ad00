"""The planner's board finds what a look at every host finds, after any takes, returns and closings."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.domain.planner.timeline import NEVER, Board, Timeline

NOW = 5
GPUS = (1, 2, 4, 8)
busy = st.lists(st.tuples(st.integers(0, 12), st.just(1)), max_size=8)
moves = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take and return", "close", "copy"]),
        st.sampled_from(GPUS),
        st.integers(1, 9),
        st.sampled_from([8, 12, 20, NEVER - 1]),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=40,
)


def looked_up(
    board: Board, gpus: int, length: int, latest: int, shut: dict[str, int]
) -> tuple[str, int] | None:
    """Every host is looked at, from its first step on; the first of the earliest counts."""
    found = []
    for place, name in enumerate(board.hosts):
        line = board.hosts[name].copy()
        if name in shut:
            line.close(line.times[0], shut[name])
        start = line.earliest(gpus, length, latest + 1)
        found += [(start, place, name)] if start is not None else []
    return (min(found)[2], min(found)[0]) if found else None


@settings(max_examples=400, deadline=None)
@given(st.lists(busy, min_size=1, max_size=5), moves)
def test_the_earliest_room_is_the_earliest_of_all_hosts(taken, wanted):
    board = Board({f"host-{n}": Timeline.of(NOW, 8, some) for n, some in enumerate(taken)})
    for what, gpus, length, latest, host, avoids in wanted:
        name = f"host-{host % len(taken)}"
        shut = {name: NOW + length} if avoids else {}
        found = board.earliest(gpus, length, latest, shut)
        assert found == looked_up(board, gpus, length, latest, shut)
        assert board.most_free() == max(board.free_now(each) for each in board.hosts)
        if what == "close":
            board.close(name, NOW + length // 2, NOW + length)
        elif what == "copy":
            board = board.copy()
        elif found is not None and not shut:
            board.take(*found, length, gpus)
            if what == "take and return":
                board.give(*found, length, gpus)
