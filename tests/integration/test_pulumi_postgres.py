"""A stack whose state lies in PostgreSQL: its life, its locks, and nothing secret in the table."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator

import psycopg
import pytest
from postgres_kit import Cluster, run_cluster
from pulumi_kit import World, pulumi_cli, world

from infra import engine
from infra.engine_workspace import passphrase_file
from infra.errors import StackBusy, StateUnreachable
from infra.state_backend import PostgresBackend, backend

__all__ = ["pulumi_cli", "world"]
pytestmark = pytest.mark.integration
LOCK = ".pulumi/locks/organization/axonos/far/00000000-0000-0000-0000-000000000000.json"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with run_cluster() as made:
        made.run("CREATE DATABASE stacks")
        yield made


def url(cluster: Cluster) -> str:
    return f"postgres://postgres@/stacks?host={cluster.socket_dir}&sslmode=disable"


def test_a_stack_lives_in_the_database_and_a_dead_lock_is_taken_away(world: World, cluster: Cluster) -> None:
    file = world.folder / "state_url"
    file.write_text(url(cluster) + "\n")
    far = {"name": "far", "connection": "ssh", "address": "127.0.0.1", "gateway_url": "wss://far"}
    config = world.config(stack="far", kind="metal", hosts=[far], playbooks=[], state_url_file=file)
    assert engine.up(config, cli=world.cli).changes["create"] == 2
    with psycopg.connect(url(cluster)) as db:
        kept = db.execute("SELECT key, data->>'data' FROM pulumi_state").fetchall()
        rows = [(key, base64.b64decode(data).decode()) for key, data in kept]
        assert any("stacks/axonos/far.json" in key for key, _ in rows)
        secret = passphrase_file(config.state_dir).read_text().strip()
        assert not any(secret in data for _, data in rows)
        lock = json.dumps({"pid": 2**22 + 1, "username": "x", "hostname": socket.gethostname()})
        dead = json.dumps({"data": base64.b64encode(lock.encode()).decode()})
        prefix = next(key for key, _ in rows).split(".pulumi/")[0]
        db.execute("INSERT INTO pulumi_state (key, data) VALUES (%s, %s)", (prefix + LOCK, dead))
    assert not (config.backend_dir / ".pulumi" / "stacks").exists(), "no state in files beside it"

    told: list[str] = []
    assert engine.up(config, cli=world.cli, report=told.append).changes == {}
    assert any("taking away the lock" in line for line in told)
    assert engine.destroy(config, cli=world.cli).changes["delete"] == 2


def test_two_operators_take_turns(cluster: Cluster) -> None:
    place = PostgresBackend(url(cluster))
    told: list[str] = []

    def turn(stack: str, timeout_s: float):
        return place.turn(stack, timeout_s=timeout_s, report=told.append, stopped=lambda: False)

    with turn("one", 5):
        with turn("two", 5):
            pass
        with pytest.raises(StackBusy, match="another operator"), turn("one", 0):
            pass
    assert told == ["waiting for another operator, who is changing this stack"]
    inside = threading.Event()

    def second() -> None:
        with turn("one", 30):
            inside.set()

    with turn("one", 5):
        thread = threading.Thread(target=second)
        thread.start()
        assert not inside.wait(0.3)
    thread.join(30)
    assert inside.is_set()


def test_a_database_that_does_not_answer_is_said(tmp_path) -> None:
    file = tmp_path / "url"
    file.write_text(f"postgres://x@/none?host={tmp_path}")
    with pytest.raises(StateUnreachable, match="does not answer"):
        backend(tmp_path, file).owners("axonos", "far")
