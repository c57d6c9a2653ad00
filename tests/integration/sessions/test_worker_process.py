"""The worker as a process, with real ansible-runner runs: killed in the middle of a start, followed by another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from session_kit import WALLET, make_platform
from toml_kit import write_toml

from controller.adapters.clock import SystemClock
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """#!{python}
# A host program whose containers are files; a start waits as long as the file `slow` is there.
import json, pathlib, sys, time
state = pathlib.Path({state!r})
request = json.load(sys.stdin)
now = lambda: int(time.time() * 1000)
with (state / "asked").open("a") as log:
    log.write(json.dumps([sys.argv[1], request.get("fencing_token")]) + "\\n")
container = state / request["slot"]
if sys.argv[1] == "start":
    while (state / "slow").exists():
        time.sleep(0.05)
    changed = not container.exists()
    container.touch()
    answer = {{"ok": True, "changed": changed, "container_id": "c1", "started_at_ms": now(),
               "ready_at_ms": now(), "stages": {{}}}}
else:
    answer = {{"ok": True, "changed": container.exists(), "stopped_at_ms": now()}}
    container.unlink(missing_ok=True)
print(json.dumps(answer))
"""


@pytest.fixture
def installed(tmp_path, database, database_url):
    """A platform on the real clock, with everything on disk that a worker process needs."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "ticket.pem").write_bytes(key)
    program = tmp_path / "venv/bin/axonos-host"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable, state=str(tmp_path)))
    program.chmod(0o755)
    platform = make_platform(
        database,
        state_dir=str(tmp_path),
        playbooks_dir=str(ROOT / "playbooks"),
        database_url=database_url,
        secrets={"ticket_private_key": str(tmp_path / "ticket.pem")},
    )
    platform.deps = replace(platform.deps, clock=SystemClock())
    platform.clock = platform.deps.clock
    settings = platform.deps.settings.model_dump(mode="json", exclude={"local", "pricing"})
    write_toml(tmp_path / "axonos.toml", settings)
    platform.add_host()
    platform.credit(WALLET, 60)
    return platform


@pytest.fixture
def start_worker(tmp_path):
    started = []

    def start():
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "controller.worker"],
            env={**os.environ, "AXONOS_CONFIG": str(tmp_path / "axonos.toml")},
            cwd=ROOT,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        started.append(process)
        return process

    yield start
    (tmp_path / "slow").unlink(missing_ok=True)
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)


def eventually(condition, patience_s=60):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def asked(tmp_path):
    log = tmp_path / "asked"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def state(platform):
    view = sessions.current(platform.deps, WALLET)
    return view.state if view else None


def test_kill_9_in_the_middle_of_a_start_and_sigterm_at_the_end(installed, start_worker, tmp_path):
    (tmp_path / "slow").touch()
    first = start_worker()
    view = sessions.claim(installed.deps, WALLET, "small")
    eventually(lambda: asked(tmp_path))
    first.kill()
    first.wait(timeout=30)
    (tmp_path / "slow").unlink()
    second = start_worker()
    # Instead of waiting half a minute for the dead worker's lease:
    installed.rows("UPDATE run SET lease_until_ms = 1 WHERE lease_until_ms IS NOT NULL RETURNING id")
    eventually(lambda: state(installed) == "running")
    starts = [token for what, token in asked(tmp_path) if what == "start"]
    assert len(starts) == 2
    assert starts[1] > starts[0], "the host can tell the second worker from the first"
    assert installed.gpus() == {"free": 7, "leased": 1}
    kinds = {kind for (kind,) in installed.rows("SELECT event FROM run_event WHERE attempt = 2")}
    assert {"playbook_on_start", "runner_on_ok", "playbook_on_stats"} <= kinds
    sessions.end(installed.deps, WALLET, view.id)
    eventually(lambda: state(installed) is None)
    eventually(lambda: installed.gpus() == {"free": 8})
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=40) == 0
    log = (tmp_path / "worker-1.log").read_text()
    assert "chain-84532: chain_unavailable" in log, "no chain answers here, and the worker works on"
    assert "worker stops; 0 runs left to others" in log
    assert "Traceback" not in log
