"""`axonos hosts`, `sessions` and `status` against a real database."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from click.testing import CliRunner
from session_kit import WALLET

from controller.adapters.reach import listens, url_listens
from controller.cli import hosts, hosts_add, sessions, status
from controller.services.pool import fill as pool_fill
from controller.services.sessions import facade as service
from controller.services.status import WORKER_NAME, with_application_name

pytestmark = pytest.mark.integration


@pytest.fixture
def axonos(platform, monkeypatch):
    """Runs a command; returns (exit status, output, JSON or None)."""
    for module in (hosts, hosts_add, sessions, status):
        monkeypatch.setattr(module, "connect", lambda: platform.deps)

    def run(command, *arguments):
        done = CliRunner().invoke(command, arguments, catch_exceptions=False)
        return (
            done.exit_code,
            done.output,
            json.loads(done.stdout) if "--json" in arguments and done.exit_code != 2 else None,
        )

    return run


def test_hosts_add_is_repeatable_and_says_whether_it_changed(axonos):
    add = ("add", "box", "--gateway-url", "ws://localhost:8081", "--simulated-gpus", "2", "--json")
    code, _, first = axonos(hosts.hosts, *add)
    assert (code, first["changed"], len(first["host"]["gpus"])) == (0, True, 2)
    assert first["host"]["gpus"][0]["uuid"].startswith("SIM-")
    _, _, second = axonos(hosts.hosts, *add)
    assert second == {**first, "changed": False, "new": False}
    real = (
        "add",
        "real",
        "--connection",
        "ssh",
        "--address",
        "10.0.0.9",
        "--gateway-url",
        "wss://g.example.org",
    )
    _, _, third = axonos(hosts.hosts, *real, "--gpu", "GPU-1=H200", "--gpu", "GPU-2=H200", "--json")
    assert [g["model"] for g in third["host"]["gpus"]] == ["H200", "H200"]
    assert not third["host"]["simulated"]


def test_hosts_add_needs_one_kind_of_gpus(axonos):
    assert axonos(hosts.hosts, "add", "box", "--gateway-url", "ws://x")[0] == 2


def test_hosts_list_and_show_for_people(axonos):
    code, said, _ = axonos(hosts.hosts, "list")
    assert code == 0
    assert "8 free (simulated)" in said
    code, said, _ = axonos(hosts.hosts, "show", "local")
    assert "8 simulated GPUs" in said
    assert "SIM-local-7" in said


def test_sessions_list_show_and_end(axonos, platform):
    assert axonos(sessions.sessions, "list")[1].strip() == "No sessions."
    view = service.claim(platform.deps, WALLET, "small")
    platform.work()
    _, said, _ = axonos(sessions.sessions, "list")
    assert "KIND" in said
    assert "desktop" in said
    _, _, found = axonos(sessions.sessions, "list", "--json")
    assert [(s["wallet"], s["session"]["state"]) for s in found["sessions"]] == [(WALLET, "running")]
    code, said, _ = axonos(sessions.sessions, "show", view.id)
    assert code == 0
    assert "session_start.yml" in said
    assert "taken 0, finished 3000" in said
    _, _, story = axonos(sessions.sessions, "show", view.id, "--json")
    assert [e["event"] for e in story["events"]] == ["claimed", "started", "ready"]
    code, said, _ = axonos(sessions.sessions, "end", view.id)
    assert said.strip() == f"{view.id}: ending"


def test_status_says_openly_what_is_simulated_and_what_is_missing(axonos):
    code, said, _ = axonos(status.status)
    assert code == 4
    assert "SIMULATED" in said
    assert "MISSING worker" in said
    assert "MISSING guard of local" in said
    assert "ok      database" in said
    code, _, found = axonos(status.status, "--json")
    assert (code, found["ok"], found["gpus"], found["queue"]) == (4, False, {"free": 8}, 0)
    assert found["services"]["database"]


def test_status_sees_the_worker_by_its_connections(axonos, platform, database_url):
    from controller.adapters.database import PostgresDatabase

    settings = platform.deps.settings.model_copy(
        update={"database": platform.deps.settings.database.model_copy(update={"url": database_url})}
    )
    named = PostgresDatabase(with_application_name(settings, WORKER_NAME).database.url)
    with named.begin() as db:
        db.connection()
        assert axonos(status.status, "--json")[2]["services"]["worker"]
    named.engine.dispose()


def test_status_without_a_database_still_answers(axonos, platform, monkeypatch):
    from controller.errors import DatabaseUnavailable

    def away(_deps):
        raise DatabaseUnavailable

    monkeypatch.setattr(status, "read_status", away)
    code, _, found = axonos(status.status, "--json")
    assert (code, found["services"]["database"], found["ok"]) == (4, False, False)


def test_reaching_an_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens("127.0.0.1", port)
        assert url_listens(f"ws://127.0.0.1:{port}/stream")
    assert not listens("127.0.0.1", port)


def test_the_pool_and_the_stages_of_starts_are_shown(axonos, platform):
    settings = platform.deps.settings
    pool = settings.pool.model_copy(update={"small": 1})
    platform.deps = replace(platform.deps, settings=settings.model_copy(update={"pool": pool}))
    assert "No desktop waits" in axonos(hosts.hosts, "pool")[1]
    assert "No start came through yet" in axonos(sessions.sessions, "stages")[1]
    pool_fill.fill(platform.deps)
    platform.work()
    found = axonos(hosts.hosts, "pool", "--json")[2]["pool"]
    assert [(one["profile"], one["state"]) for one in found] == [("small", "waiting")]
    assert "small" in axonos(hosts.hosts, "pool")[1]
    assert "1 small waiting" in axonos(status.status)[1]
    view = service.claim(platform.deps, WALLET, "small")
    platform.work()
    shown = axonos(sessions.sessions, "show", view.id)[1]
    assert "start, in milliseconds: queue" in shown
    stages = axonos(sessions.sessions, "stages", "--json")[2]["stages"]
    assert {"total_ms", "ansible_ms", "host_ms"} <= {line["stage"] for line in stages}
