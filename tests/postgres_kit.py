"""A PostgreSQL cluster of our own, without pytest: for the fixtures and for benchmarks that run by themselves."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg


class PostgresMissing(RuntimeError):
    """The server programs are not there, or one of them failed; the message says which and why."""


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL that only this run reaches, over a unix socket."""

    socket_dir: Path

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_dir}"

    def run(self, statement: str) -> None:
        with psycopg.connect(host=str(self.socket_dir), user="postgres", autocommit=True) as db:
            db.execute(statement)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        raise PostgresMissing("PostgreSQL's server programs are missing; `make test` installs them")
    return Path(on_path).parent


def _owner() -> str | None:
    """PostgreSQL refuses root: the unprivileged user that runs it, None when we are unprivileged ourselves."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def run_cluster(*options: str) -> Iterator[Cluster]:
    """A cluster in a folder of its own, gone at the end. `options` are server settings, `name=value`."""
    # A short path on purpose: a socket's path may hold 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="axpg-", dir="/tmp"))
    owner = _owner()
    if owner:
        shutil.chown(home, owner)
    as_owner = ["runuser", "-u", owner, "--"] if owner else []

    def run(*command: str) -> None:
        done = subprocess.run([*as_owner, *command], capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            raise PostgresMissing(
                f"{command[0]}: {done.stderr or done.stdout} (as {owner or getpass.getuser()})"
            )

    programs = _programs()
    data = str(home / "data")
    run(str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
    wanted = ["listen_addresses=''", "fsync=off", "max_connections=200", *options]
    words = f"-k {home} " + " ".join(f"-c {option}" for option in wanted)
    run(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(home / "log"), "-o", words, "start")
    try:
        yield Cluster(home)
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(home)
