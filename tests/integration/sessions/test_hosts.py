"""Registering hosts: repeatable, honest about change, and never losing a GPU that is in use."""

from __future__ import annotations

import pytest
from session_kit import WALLET

from controller.errors import BadInput, NotYours, WrongState
from controller.services.hosts import registry as hosts
from controller.services.hosts.registry import GpuSpec
from controller.services.queue import placing
from controller.services.sessions import admin as session_admin
from controller.services.sessions import facade as sessions
from controller.services.status import status

pytestmark = pytest.mark.integration


def register(platform, name="box", gpus=("A", "B"), **changes):
    facts = {
        "connection": "ssh",
        "address": "10.0.0.5",
        "gateway_url": "wss://box.example.org",
        "simulated": False,
    }
    specs = [GpuSpec(f"GPU-{g}", "H200") for g in gpus]
    return hosts.register(platform.deps, name, gpus=specs, **{**facts, **changes})


def test_twice_is_unchanged_and_a_change_is_a_change(platform):
    assert register(platform).changed
    assert not register(platform).changed
    assert register(platform, address="10.0.0.6").changed
    assert not register(platform, address="10.0.0.6").changed
    swapped = register(platform, gpus=("B", "A"), address="10.0.0.6")
    assert swapped.changed
    assert [g.uuid for g in swapped.host.gpus] == ["GPU-B", "GPU-A"]
    assert [h.name for h in hosts.list_hosts(platform.deps)] == ["box", "local"]


def test_a_gpu_left_out_goes_when_free_and_stays_while_leased(platform):
    sessions.claim(platform.deps, WALLET, "small")
    leased = platform.rows("SELECT uuid FROM gpu WHERE state = 'leased'")[0][0]
    rest = [GpuSpec(f"SIM-local-{i}", "simulated") for i in range(8) if f"SIM-local-{i}" != leased][:2]
    done = hosts.register(
        platform.deps,
        "local",
        connection="local",
        address="127.0.0.1",
        gateway_url="ws://localhost:8081",
        gpus=rest,
        simulated=True,
    )
    assert sorted(g.state for g in done.host.gpus) == ["free", "free", "leased"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Bad Name"},
        {"connection": "carrier pigeon"},
        {"gateway_url": "http://x"},
        {"gpus": ("A", "A")},
        {"name": "thief", "gpus": ("A",)},
    ],
)
def test_wrong_fields_are_refused(platform, change):
    register(platform)
    with pytest.raises(BadInput):
        register(platform, **change)


def test_a_real_gpu_waits_for_a_check_and_the_operator_can_vouch_for_it(platform):
    register(platform, gpus=tuple("ABCDEFGHI"))
    platform.credit(WALLET, 600)
    platform.deps.database.engine.dispose()
    with platform.deps.database.begin() as db:
        from sqlalchemy import text

        db.connection().execute(text("UPDATE host SET state = 'draining' WHERE name = 'local'"))
    view = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    (dirty,) = [g for g in hosts.show(platform.deps, "box").gpus if g.state == "dirty"]
    assert dirty.why == "waiting for a check of this GPU"
    assert hosts.release_gpu(platform.deps, dirty.uuid).state == "checked"
    placing.promote(platform.deps)
    assert {g.state for g in hosts.show(platform.deps, "box").gpus} == {"free"}
    with pytest.raises(WrongState):
        hosts.release_gpu(platform.deps, dirty.uuid)


def test_unknown_names(platform):
    with pytest.raises(NotYours):
        hosts.show(platform.deps, "nobody")
    with pytest.raises(NotYours):
        hosts.release_gpu(platform.deps, "GPU-none")


def test_the_operators_overview(platform):
    view = sessions.claim(platform.deps, WALLET, "large")
    found = status(platform.deps)
    assert (found.instance, found.simulated, found.hosts) == ("test", True, {"local": "ready"})
    assert (found.gpus, found.sessions, found.queue) == ({"free": 4, "leased": 4}, {"starting": 1}, 0)
    assert (found.runs_waiting, found.worker_connected) == (1, False)
    assert found.last_report_ms_ago == {"local": None}
    platform.work()
    (line,) = session_admin.list_sessions(platform.deps)
    assert (line.wallet, line.session.state) == (WALLET, "running")
    session_admin.end_any(platform.deps, view.id)
    platform.work()
    assert session_admin.list_sessions(platform.deps) == []
    told = session_admin.story(platform.deps, view.id)
    assert [e["event"] for e in told.events] == ["claimed", "started", "ready", "ending", "ended"]
    assert [r["playbook"] for r in told.runs] == ["session_start.yml", "session_stop.yml"]
    assert told.session.why == "ended by the operator"


def test_a_session_gets_gpus_of_one_island_where_the_host_says_which_those_are(platform):
    specs = [GpuSpec(f"SIM-local-{i}", "simulated", "left" if i % 2 else "right") for i in range(8)]
    facts = {"connection": "local", "address": "127.0.0.1", "gateway_url": "ws://localhost:8081"}
    done = hosts.register(platform.deps, "local", gpus=specs, simulated=True, **facts)
    assert done.changed
    assert not hosts.register(platform.deps, "local", gpus=specs, simulated=True, **facts).changed
    assert [gpu.island for gpu in done.host.gpus[:2]] == ["right", "left"]
    sessions.claim(platform.deps, WALLET, "large")
    leased = platform.rows("SELECT DISTINCT island, count(*) FROM gpu WHERE state = 'leased' GROUP BY 1")
    assert [count for _, count in leased] == [4]
