"""The queue's floor: FIFO, but nobody waits for a larger claim that cannot start yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.placement import FreeHost, after_check, gpu_step, place
from controller.domain.queue import NO_FREE_GPUS, Waiting, first_fit

sizes = st.sampled_from([1, 2, 4, 8])
claims = st.lists(sizes, max_size=25).map(lambda s: [Waiting(f"c{i}", n) for i, n in enumerate(s)])
hosts = st.lists(st.integers(0, 8), max_size=5).map(
    lambda free: [FreeHost(f"h{i}", tuple(f"h{i}-g{k}" for k in range(n))) for i, n in enumerate(free)]
)


@given(claims, hosts)
def test_no_gpu_is_given_twice_and_everyone_is_answered(queue, free):
    plan = first_fit(queue, free)
    given_out = [gpu for _, found in plan.starts for gpu in found.gpus]
    assert len(given_out) == len(set(given_out))
    owners = {gpu: host.name for host in free for gpu in host.free}
    for claim_id, found in plan.starts:
        assert len(found.gpus) == next(c.gpus for c in queue if c.id == claim_id)
        assert {owners[gpu] for gpu in found.gpus} == {found.host}
    answered = [claim_id for claim_id, _ in plan.starts] + [reason.id for reason in plan.reasons]
    assert sorted(answered) == sorted(c.id for c in queue)


@given(claims, hosts)
def test_whoever_waits_fits_nowhere_even_before_later_claims_took_theirs(queue, free):
    """FIFO: at a claim's turn only earlier starts have taken GPUs; what remains must be too little."""
    started = dict(first_fit(queue, free).starts)
    left = {host.name: len(host.free) for host in free}
    for claim in queue:
        if claim.id in started:
            left[started[claim.id].host] -= claim.gpus
        else:
            assert max(left.values(), default=0) < claim.gpus


@given(claims, hosts)
def test_a_later_arrival_never_changes_what_earlier_claims_get(queue, free):
    whole = dict(first_fit(queue, free).starts)
    for length in range(len(queue)):
        assert dict(first_fit(queue[:length], free).starts) == {
            k: v for k, v in whole.items() if int(k[1:]) < length
        }


@given(claims, hosts)
def test_positions_count_from_one_in_order_of_arrival(queue, free):
    plan = first_fit(queue, free)
    assert [r.position for r in plan.reasons] == list(range(1, len(plan.reasons) + 1))
    assert [r.id for r in plan.reasons] == sorted((r.id for r in plan.reasons), key=lambda c: int(c[1:]))
    assert {r.text for r in plan.reasons} <= {"insufficient free GPUs for requested profile"}
    assert NO_FREE_GPUS == "insufficient free GPUs for requested profile"


def test_a_large_claim_does_not_block_a_small_one():
    plan = first_fit([Waiting("max", 8), Waiting("small", 1)], [FreeHost("a", ("g1", "g2"))])
    assert [claim_id for claim_id, _ in plan.starts] == ["small"]
    assert [(r.id, r.position) for r in plan.reasons] == [("max", 1)]


def test_the_fullest_host_that_fits_is_taken():
    found = place(2, [FreeHost("big", tuple("abcdefgh")), FreeHost("small", ("x", "y", "z"))])
    assert found is not None
    assert (found.host, found.gpus) == ("small", ("x", "y"))


def test_a_leased_gpu_is_never_free_at_once():
    assert gpu_step("free", "leased") == "leased"
    for state, to in [("leased", "free"), ("dirty", "free"), ("leased", "checked"), ("quarantined", "free")]:
        with pytest.raises(ValueError, match="does not go from"):
            gpu_step(state, to)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("simulated", "healthy", "state"),
    [
        (True, None, "checked"),
        (False, True, "checked"),
        (False, False, "quarantined"),
        (False, None, "dirty"),
    ],
)
def test_a_gpu_is_checked_before_it_is_free(simulated, healthy, state):
    assert after_check(simulated=simulated, healthy=healthy)[0] == state
