"""A platform to be killed: own PostgreSQL cluster, own Docker engine, own homes, every process by itself.

Nothing of it is shared with the machine's own engine or any other instance; everything is gone at the end.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import hostkit
from crash_oracle import Place, engine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from session_kit import Platform, make_platform
from toml_kit import write_toml

from controller.adapters.clock import SystemClock
from controller.adapters.database import PostgresDatabase
from controller.migrations import migrate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_S = 60
SERVICES = ("web", "worker", "guard", "gateway")


def eventually(condition: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Instance:
    """One platform. `kill` and `spawn` name web, worker, guard, gateway, postgres or dockerd."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="axcr-", dir="/tmp")))
    name: str = field(default_factory=lambda: "c" + uuid.uuid4().hex[:7])
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    live_restore: bool = False
    gpus: int = 10
    waiting: int = 2
    lease_minutes: int = 1

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)
        self.port, self.gateway_port = free_port(), free_port()
        self.engine = str(self.folder / "engine.sock")
        self.bridge = f"axe{self.name}"
        self.post = self.folder / "post"
        self.config = self.folder / "axonos.toml"
        self.homes = self.folder / "homes"
        self.dsn = f"host={self.folder} user=postgres dbname=axonos"
        self.url = f"postgresql+psycopg://postgres@/axonos?host={self.folder}"
        self.place = Place(self.name, self.engine, self.folder / "run", self.homes, self.dsn)

    # -- building up and taking down

    def build(self) -> None:
        self._mount_homes()
        self._make_database()
        self._write_containerd()
        self._make_bridge()
        self.spawn("containerd")
        self.spawn("dockerd")
        self.image = self._import_image()
        self.platform = self._configure()
        for name in SERVICES:
            self.spawn(name)
        self.wait_ready()
        eventually(lambda: "is ready" in self.log("worker"), "no warm Ansible")

    def log(self, name: str) -> str:
        """What a process wrote so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def processes_of(self, *words: str) -> list[int]:
        """Processes with all these words, and this instance's folder, in their command lines."""
        wanted = [str(self.folder).encode(), *(word.encode() for word in words)]
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                text = path.read_bytes()
                if all(word in text for word in wanted) and int(path.parts[2]) != os.getpid():
                    found.append(int(path.parts[2]))
        return found

    def clear(self) -> None:
        if (platform := getattr(self, "platform", None)) is not None:
            platform.deps.database.engine.dispose()
        for name in [*SERVICES, "postgres"]:
            self.kill(name)
        self._stop_engine()
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[1]], capture_output=True, check=False)
        if loop := getattr(self, "loop", None):
            subprocess.run(["losetup", "--detach", loop], capture_output=True, check=False)
        subprocess.run(
            ["nft", "delete", "table", "inet", f"axonos_{self.name}"], capture_output=True, check=False
        )
        for link in Path("/sys/class/net").glob(f"{self.place.bridge_prefix}*"):
            subprocess.run(["ip", "link", "delete", link.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop_engine(self) -> None:
        """Its containers go with it: the engine is asked once more, then all of its processes are ended."""
        with contextlib.suppress(OSError, ValueError):
            for one in engine(self.engine, "/containers/json?all=1"):
                subprocess.run(
                    ["docker", "-H", f"unix://{self.engine}", "rm", "-f", one["Id"]],
                    capture_output=True,
                    check=False,
                )
        self.kill("dockerd", signal.SIGTERM)
        self.kill("containerd", signal.SIGTERM)
        for pid in self.processes_of():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _mount_homes(self) -> None:
        disk = self.folder / "homes.btrfs"
        hostkit.run("fallocate", "-l", "256M", disk)
        hostkit.run("mkfs.btrfs", "-q", disk)
        self.loop = hostkit.run("losetup", "--find", "--show", disk)
        self.homes.mkdir()
        hostkit.run("mount", self.loop, self.homes)

    def _make_database(self) -> None:
        data = self.folder / "pg"
        data.mkdir()
        shutil.chown(data, self.owner)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parts[4]))
        self.programs = found[-1]
        initdb = [
            str(self.programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        hostkit.run("runuser", "-u", self.owner, "--", *initdb, cwd="/")
        self.sockets = self.folder
        self.folder.chmod(0o777)
        self.spawn("postgres")
        eventually(self._database_up, "PostgreSQL did not come up")
        hostkit.run("psql", "-h", str(self.folder), "-U", "postgres", "-c", "CREATE DATABASE axonos")
        migrate(self.url)

    def _write_containerd(self) -> None:
        """By itself, as on real hosts: dockerd dies alone, what watches the containers lives on."""
        top = self.folder / "engine"
        top.mkdir()
        sections = f'[grpc]\n  address = "{top}/containerd.sock"\n'
        (top / "containerd.toml").write_text(
            f'version = 2\nroot = "{top}/containerd"\nstate = "{top}/containerd-state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n{sections}'
        )

    def _make_bridge(self) -> None:
        """A default bridge of its own: an engine told to have none deletes `docker0`, another engine's too."""
        hostkit.run("ip", "link", "add", self.bridge, "type", "bridge")
        hostkit.run("ip", "address", "add", "198.51.100.1/30", "dev", self.bridge)

    @property
    def owner(self) -> str:
        return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"

    def _database_up(self) -> bool:
        asked = [str(self.programs / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def engine_up(self) -> bool:
        try:
            return bool(engine(self.engine, "/version"))
        except (OSError, ValueError):
            return False

    def _import_image(self) -> str:
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.engine}", "import", "-c", 'ENTRYPOINT ["/usr/libexec/axonos/desktop"]', "-"],
            input=hostkit.image_tar(), capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def _configure(self) -> Platform:
        key = Ed25519PrivateKey.generate()
        (self.folder / "ticket.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "ticket_public.pem").write_bytes(public)
        for secret in ("web_key", "guard_token"):
            (self.folder / secret).write_text(uuid.uuid4().hex)
        (self.folder / "novnc/core").mkdir(parents=True)
        (self.folder / "novnc/core/rfb.js").write_text("")
        program = self.folder / "venv/bin/axonos-host"
        program.parent.mkdir(parents=True)
        words = f"{sys.executable} {HERE / 'crash_marked.py'} {self.post} {self.engine} host"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {words} "$@"\n')
        program.chmod(0o755)
        database = PostgresDatabase(self.url, pool_size=4)
        platform = make_platform(database, **self._sections())
        platform.deps = replace(platform.deps, clock=SystemClock())
        platform.clock = platform.deps.clock  # type: ignore[assignment]
        settings = platform.deps.settings.model_dump(
            mode="json", exclude={"local", "pricing"}, exclude_none=True
        )
        write_toml(self.config, settings)
        self.config.chmod(0o644)
        shutil.copy(self.config, self.folder / "host.toml")
        platform.add_host("local", self.gpus)
        return platform

    def _sections(self) -> dict:
        host = {
            "controller_url": f"http://127.0.0.1:{self.port}",
            "homes_dir": str(self.homes),
            "run_dir": str(self.folder / "run"),
            "ticket_public_key": str(self.folder / "ticket_public.pem"),
            "guard_token": str(self.folder / "guard_token"),
            "pages_origin": f"http://localhost:{self.port}",
            "gateway_group": "nogroup",
            "subnet_pool": "10.220.0.0/20",
        }
        return {
            "instance": self.name,
            "state_dir": str(self.folder),
            "run_dir": str(self.folder / "run"),
            "web": {"origin": f"http://localhost:{self.port}", "port": self.port, "proxy_hops": 1},
            "gateway": {"url": f"ws://localhost:{self.gateway_port}", "port": self.gateway_port},
            "database_url": self.url,
            "sessions": {"image_id": self.image, "lease_minutes": self.lease_minutes, "start_timeout_s": 20, "tick_s": 1, "memory_mib_per_gpu": 512},
            "pool": {"small": self.waiting},
            "secrets": {
                "web_key": str(self.folder / "web_key"),
                "ticket_private_key": str(self.folder / "ticket.pem"),
                "guard_token": str(self.folder / "guard_token"),
            },
            "host": host,
            "novnc_dir": self.folder / "novnc",
            "playbooks_dir": ROOT / "playbooks",
        }  # fmt: skip

    # -- processes

    def spawn(self, name: str) -> None:
        """Start one process; as a supervisor would, at once and without asking why it ended."""
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            self._command(name),
            env=os.environ | {"AXONOS_CONFIG": str(self.config), "PYTHONUNBUFFERED": "", "PYTHONPATH": str(ROOT)},
            cwd=ROOT if name in SERVICES else "/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        if name == "containerd":
            eventually((self.folder / "engine/containerd.sock").exists, "containerd did not come up")
        if name == "dockerd":
            try:
                eventually(self.engine_up, "the engine did not come up")
            except TimeoutError as error:
                raise TimeoutError(self.log(name)[-3_000:]) from error
        if name == "postgres":
            eventually(self._database_up, "PostgreSQL did not come up")

    def _command(self, name: str) -> list[str]:
        if name == "postgres":
            options = [
                "-c",
                "listen_addresses=",
                "-k",
                str(self.folder),
                "-c",
                "fsync=off",
                "-c",
                "max_connections=100",
            ]
            return [
                "runuser",
                "-u",
                self.owner,
                "--",
                str(self.programs / "postgres"),
                "-D",
                str(self.folder / "pg"),
                *options,
            ]
        if name == "dockerd":
            top = self.folder / "engine"
            where = ["--data-root", f"{top}/data", "--exec-root", f"{top}/exec", "--pidfile", f"{top}.pid"]
            alone = [
                "--host",
                f"unix://{self.engine}",
                "--containerd",
                f"{top}/containerd.sock",
                "--bridge",
                self.bridge,
                "--iptables=false",
                "--ip-masq=false",
            ]
            return ["dockerd", *where, *alone, *(["--live-restore"] if self.live_restore else [])]
        if name == "containerd":
            return ["containerd", "--config", str(self.folder / "engine/containerd.toml")]
        if name == "gateway":
            return [sys.executable, "-m", "controller.gateway"]
        marked = [sys.executable, str(HERE / "crash_marked.py"), str(self.post), self.engine, name]
        return [*marked, str(self.port)] if name == "web" else marked

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """kill -9: the site and PostgreSQL with all their processes, the others alone, their children live on."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        with_it = (
            _children(int((self.folder / "pg/postmaster.pid").read_text().split()[0]))
            if name == "postgres"
            else []
        )
        with contextlib.suppress(ProcessLookupError):
            if name in ("containerd", "dockerd", "worker", "guard", "gateway"):
                process.send_signal(how)
            else:
                os.killpg(process.pid, how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        for pid in with_it:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in with_it), "PostgreSQL did not end"
        )
        if name == "dockerd":
            (self.folder / "engine.pid").unlink(missing_ok=True)

    def restart(self, name: str) -> None:
        self.kill(name)
        self.spawn(name)

    def wait_ready(self) -> None:
        def up() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually(up, "the site did not come up")


def _children(parent: int) -> list[int]:
    """A process and its children; PostgreSQL's make sessions of their own, no group holds them together."""
    found = [parent]
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parts[2]))
    return found
