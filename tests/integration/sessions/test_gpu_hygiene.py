"""A real GPU between two people: dirty until a check says it is clean, quarantined with a reason, released."""

from __future__ import annotations

import pytest
from session_kit import WALLET

from controller.domain.placement import PATIENCE_MS
from controller.errors import NotYours, WrongState
from controller.services.hosts import gpu_hygiene
from controller.services.hosts import registry as hosts
from controller.services.queue import placing
from controller.services.reports import reconcile
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
GPU = "SIM-real-0"  # its name only: the host says that its GPUs are real
CLEAN = {"healthy": True, "why": ""}
BUSY = {"healthy": None, "why": "processes are still on it: 4711"}
BROKEN = {"healthy": False, "why": "Xid 79 in the kernel's log"}


@pytest.fixture
def real(database):
    from session_kit import make_platform

    made = make_platform(database)
    made.add_host("real", gpus=1, simulated=False)
    made.credit(WALLET, 60)
    return made


def use(platform, check=None):
    """One session from claim to confirmed stop; the host's word about its GPU afterwards."""
    platform.provisioner.checks = {GPU: check} if check else {}
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()


def gpu(platform):
    (found,) = hosts.show(platform.deps, "real").gpus
    return found.state, found.why


def alerts(platform):
    return platform.rows(
        "SELECT why FROM operator_alert WHERE kind = 'gpu-quarantined' AND cleared_at_ms IS NULL"
    )


def test_a_clean_gpu_is_free_at_once(real):
    use(real, CLEAN)
    assert gpu(real) == ("free", None)
    stop = real.provisioner.requests[-1][1]
    assert (stop["gpus"], stop["simulated"]) == ([GPU], False)
    assert stop["gpus_since_ms"] == 1_800_000_000_000


def test_a_busy_gpu_is_looked_at_until_it_is_clean(real):
    use(real, BUSY)
    assert gpu(real) == ("dirty", BUSY["why"])
    reconcile.reconcile(real.deps)
    reconcile.reconcile(real.deps)
    assert real.work() == 1, "one check per host and interval"
    assert gpu(real) == ("dirty", BUSY["why"])
    assert sessions.claim(real.deps, WALLET, "small").state == "queued"
    real.provisioner.checks = {GPU: CLEAN}
    real.clock.advance(gpu_hygiene.CHECK_EVERY_MS)
    reconcile.reconcile(real.deps)
    real.work()
    view = sessions.current(real.deps, WALLET)
    assert view is not None
    assert view.state == "running", "it became free, and the queue moved by itself"


@pytest.mark.parametrize(("said", "why"), [(BUSY, BUSY["why"]), (None, "no check came through")])
def test_a_gpu_that_does_not_get_clean_is_quarantined(real, said, why):
    use(real, said)
    real.clock.advance(PATIENCE_MS)
    reconcile.reconcile(real.deps)
    real.work()
    assert gpu(real) == ("quarantined", f"not clean after 2 minutes: {why}")
    assert len(alerts(real)) == 1


def test_a_broken_gpu_is_quarantined_alerted_and_released_by_the_operator(real):
    use(real, BROKEN)
    assert gpu(real) == ("quarantined", BROKEN["why"])
    assert alerts(real) == [(f"{GPU} of real: {BROKEN['why']}",)]
    reconcile.reconcile(real.deps)
    assert real.work() == 0, "nobody checks it any more"
    hosts.release_gpu(real.deps, GPU)
    placing.promote(real.deps)
    assert (gpu(real), alerts(real)) == (("free", None), [])


def test_the_operator_takes_a_free_gpu_out_at_once(real):
    assert hosts.quarantine_gpu(real.deps, GPU, "fan replaced on Monday").state == "quarantined"
    assert gpu(real) == ("quarantined", "fan replaced on Monday")
    with pytest.raises(WrongState):
        hosts.quarantine_gpu(real.deps, GPU, "again")
    with pytest.raises(NotYours):
        hosts.quarantine_gpu(real.deps, "GPU-none", "x")


def test_a_leased_gpu_is_taken_out_after_its_session(real):
    real.provisioner.checks = {GPU: CLEAN}
    view = sessions.claim(real.deps, WALLET, "small")
    real.work()
    assert hosts.quarantine_gpu(real.deps, GPU, "noisy").state == "leased"
    sessions.end(real.deps, WALLET, view.id)
    real.work()
    assert gpu(real) == ("quarantined", "noisy")


def test_a_check_that_began_before_the_gpu_was_dirty_says_nothing_about_it(real):
    from controller.services.runs import orders as runs
    from controller.services.runs import work as run_work

    use(real, BUSY)
    reconcile.reconcile(real.deps)
    taken = runs.take(real.deps, "slow")
    assert taken is not None
    hosts.release_gpu(real.deps, GPU)
    real.clock.advance(1_000)
    view = sessions.claim(real.deps, WALLET, "small")
    other = runs.take(real.deps, "w")
    assert other is not None
    run_work.work(real.deps, real.provisioner, other)
    sessions.end(real.deps, WALLET, view.id)
    real.work()
    real.provisioner.checks = {GPU: CLEAN}
    run_work.work(real.deps, real.provisioner, taken)
    assert gpu(real)[0] == "dirty"
