"""Hosts of different GPU models: a claim for one runs there or waits for it, and blocks nobody meanwhile."""

from __future__ import annotations

import pytest
from session_kit import OTHER, WALLET, make_platform

from controller.errors import ProfileTooLarge, UnknownGpuModel
from controller.services.hosts import demand as host_demand
from controller.services.hosts import registry as hosts
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
POLICIES = pytest.mark.parametrize("policy", ["promise", "first-fit"])


@pytest.fixture
def two_models(database, policy):
    """Two H100 on one host, four T4 on another, and two different ones on a third."""
    made = make_platform(database, queue={"policy": policy})
    made.add_host("new", 2, model="H100")
    made.add_host("old", 4, model="T4")
    both = [hosts.GpuSpec("SIM-mixed-0", "H100"), hosts.GpuSpec("SIM-mixed-1", "T4")]
    where = {"connection": "local", "address": "127.0.0.1", "gateway_url": "ws://localhost:8081"}
    hosts.register(made.deps, "mixed", gpus=both, simulated=True, **where)
    made.credit(WALLET, 600)
    made.credit(OTHER, 600)
    return made


def host_of(platform, wallet):
    ((host,),) = platform.rows(
        "SELECT host FROM slot JOIN gpu_session s ON s.slot_id = slot.id WHERE s.wallet = :w"
        " AND s.state <> 'ended'",
        w=wallet,
    )
    return host


@POLICIES
def test_what_can_be_chosen_and_what_is_free_of_it(two_models):
    deps = two_models.deps
    seen = {one.model: (one.gpus, one.free, one.largest) for one in sessions.gpu_models(deps)}
    assert seen == {"H100": (2, 2, 2), "T4": (4, 4, 4)}, "a host of two models has no label"
    sessions.claim(deps, WALLET, "small", gpu_model="H100")
    assert [one.free for one in sessions.gpu_models(deps)] == [1, 4]
    large = {one.name: one.why_not for one in sessions.profiles(deps, WALLET, "H100")}["large"]
    assert large == "Large needs 4 GPUs on one host; the largest with H100 has 2."
    assert all(one.possible for one in sessions.profiles(deps, WALLET, "T4") if one.name == "large")


@POLICIES
def test_a_claim_runs_on_the_model_it_names_or_waits_for_it_and_blocks_nobody(two_models):
    deps = two_models.deps
    sessions.claim(deps, WALLET, "medium", gpu_model="H100")
    two_models.work()
    assert host_of(two_models, WALLET) == "new"
    waits = sessions.claim(deps, OTHER, "small", gpu_model="H100")
    assert (waits.state, waits.gpu_model) == ("queued", "H100"), "others are free, but not of that model"
    assert waits.queue_reason == "insufficient free GPUs for requested profile"
    assert host_demand.demand(deps).waiting[0].gpu_model == "H100"
    third = "0x" + "d4" * 20
    two_models.credit(third, 60)
    assert sessions.claim(deps, third, "small").state == "starting", "whoever takes any is not kept waiting"
    assert not sessions.outlook(deps, third, "small", "H100").starts_now
    assert sessions.outlook(deps, third, "small", "T4").starts_now
    live = sessions.current(deps, WALLET)
    assert live is not None
    sessions.end(deps, WALLET, live.id)
    two_models.work()
    assert host_of(two_models, OTHER) == "new"


@POLICIES
def test_what_no_host_can_hold_is_refused(two_models):
    with pytest.raises(UnknownGpuModel):
        sessions.claim(two_models.deps, WALLET, "small", gpu_model="B200")
    with pytest.raises(ProfileTooLarge, match="the largest with H100 has 2"):
        sessions.claim(two_models.deps, WALLET, "large", gpu_model="H100")
