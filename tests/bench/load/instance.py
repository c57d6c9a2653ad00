"""A controller as it is installed, gunicorn and worker, each a process, with sessions that run already."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes import make_settings
from sqlalchemy import text
from toml_kit import write_toml

from controller.adapters.database import PostgresDatabase
from controller.models import Gpu, GpuSession, Host, Slot, Wallet, WebSession
from controller.services.money import ledger
from controller.services.wallets.sign_in import hash_secret

ROOT = Path(__file__).resolve().parents[3]
HOUR_MS = 3_600_000
PROFILES = {1: "small", 2: "medium", 4: "large", 8: "max"}


@dataclass
class Instance:
    """Where it is, who is signed in and at work, and what the hosts hold."""

    folder: Path
    port: int
    origin: str
    guard_token: str
    people: list[dict[str, str]] = field(default_factory=list)
    hosts: list[dict[str, Any]] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)


def configured(folder: Path, url: str, port: int, rpc_port: int) -> Instance:
    """The files of an installed controller; its chain is a port where nobody answers."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ticket.pem").write_bytes(key)
    token = secrets.token_hex(16)
    (folder / "web_key").write_text(secrets.token_hex(16))
    (folder / "guard_token").write_text(token)
    (folder / "core").mkdir()
    (folder / "core" / "rfb.js").write_text("")
    settings = make_settings(
        url,
        state_dir=str(folder),
        run_dir=str(folder / "run"),
        web={"origin": f"http://localhost:{port}", "port": port},
        chain={"rpc_urls": [f"http://127.0.0.1:{rpc_port}"]},
        secrets={
            "web_key": str(folder / "web_key"),
            "ticket_private_key": str(folder / "ticket.pem"),
            "guard_token": str(folder / "guard_token"),
        },
        novnc_dir=folder,
        playbooks_dir=ROOT / "playbooks",
    )
    said = settings.model_dump(mode="json", exclude={"local", "pricing"}, exclude_none=True)
    write_toml(folder / "axonos.toml", said)
    return Instance(folder, port, f"http://localhost:{port}", token)


def populate(made: Instance, url: str, sessions: int, hosts: int) -> None:
    """Running desktops of all sizes, a signed-in browser each, spread over hosts of eight or more GPUs."""
    now = round(time.time() * 1000)
    database = PostgresDatabase(url, pool_size=2)
    names = [f"host-{number}" for number in range(hosts)]
    made.hosts = [{"name": name, "slots": []} for name in names]
    with database.begin() as db:
        db.execute(text("SET session_replication_role = replica"))
        db.add_all(
            [
                Host(name=name, address="127.0.0.1", connection="local", state="ready", simulated=True, gateway_url="ws://localhost")
                for name in names
            ]
        )  # fmt: skip
        for number in range(sessions):
            db.add_all(_person(made, number, names[number % hosts], now))
        postings = [
            ledger.Posting(f"load:{number}", "deposit", "issued:eth", f"user:{wallet(number)}", 500 * HOUR_MS)
            for number in range(sessions)
        ]
        db.flush()
        ledger.post(db, at_ms=now, transfers=postings)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))
    database.engine.dispose()


def wallet(number: int) -> str:
    return f"0x{number + 1:040x}"


def _person(made: Instance, number: int, host: str, now: int) -> list[Any]:
    slot, session, token, csrf = (
        f"s-{number + 1:012x}",
        f"load-{number}",
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(24),
    )
    gpus = 1 << (number % 4 if number % 10 == 0 else 0)
    made.people.append({"session": session, "token": token, "csrf": csrf})
    seen = {"slot": slot, "container_id": f"c-{slot}", "state": "running", "started_at_ms": now - 2_000}
    made.hosts[int(host.removeprefix("host-"))]["slots"].append(seen)
    return [
        Wallet(address=wallet(number), created_at_ms=now),
        WebSession(
            token_hash=hash_secret(token),
            wallet=wallet(number),
            csrf_token=csrf,
            created_at_ms=now,
            expires_at_ms=now + 12 * HOUR_MS,
        ),
        Slot(
            id=slot,
            host=host,
            state="up",
            subnet_index=number,
            config_digest="",
            container_id=f"c-{slot}",
            lease_until_ms=now + 900_000,
            created_at_ms=now - 3_000,
            started_at_ms=now - 2_000,
            last_alive_ms=now,
        ),
        GpuSession(
            id=session,
            wallet=wallet(number),
            profile=PROFILES[gpus],
            gpus=gpus,
            state="running",
            slot_id=slot,
            claimed_at_ms=now - 4_000,
            starting_at_ms=now - 3_000,
            ready_at_ms=now,
            billed_to_ms=now,
            seen_at_ms=now,
            opened_at_ms=now,
        ),
        *(
            Gpu(uuid=f"SIM-{number}-{index}", host=host, index=number * 8 + index, model="simulated", state="leased", slot_id=slot)
            for index in range(gpus)
        ),
    ]  # fmt: skip


@contextmanager
def running(made: Instance) -> Iterator[None]:
    """Web and worker, as the platform's own services start them."""
    words = {**os.environ, "AXONOS_CONFIG": str(made.folder / "axonos.toml"), "PYTHONPATH": str(ROOT)}
    web = [
        str(Path(sys.executable).with_name("gunicorn")),
        f"--bind=127.0.0.1:{made.port}",
        *("--workers=2", "--worker-class=gthread", "--threads=8", "--worker-tmp-dir=/dev/shm"),
        *("--no-control-socket", "controller.app:wsgi()"),
    ]
    commands = {"web": web, "worker": [sys.executable, "-m", "controller.worker"]}
    try:
        for name, command in commands.items():
            with (made.folder / f"{name}.log").open("wb") as log:
                made.processes[name] = subprocess.Popen(command, env=words, cwd=ROOT, stdout=log, stderr=log)
        _wait_up(made)
        yield
    finally:
        for process in made.processes.values():
            process.terminate()
        for process in made.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_up(made: Instance) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{made.origin}/api/v1/profiles", timeout=5).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise TimeoutError((made.folder / "web.log").read_text()[-2_000:]) from None
            time.sleep(0.2)
        else:
            return
