"""`python -m load`: prints progress to standard error and one JSON object, the outcome, to standard output."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from postgres_kit import Cluster, run_cluster

from controller.migrations import migrate
from load.instance import Instance, configured, populate, running

HEARTBEAT_S, REPORT_S = 20.0, 2.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of CPU that processes have used, their ended children's included."""
    total = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists():
            total += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:15]))
    return total / TICKS_PER_S


def rss_mib(pids: Sequence[int]) -> float:
    """Resident memory, what is shared counted once."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup")
        if rollup.exists():
            lines = rollup.read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def percentile(values: Sequence[float], percent: int) -> float:
    ranked = sorted(values)
    return round(ranked[max(0, -(-percent * len(ranked) // 100) - 1)], 1)


def load(made: Instance, seconds: float, heartbeat_s: float) -> dict[str, Any]:
    """People and guards, in a process of their own, for so long."""
    asked = {
        "port": made.port,
        "origin": made.origin,
        "guard_token": made.guard_token,
        "people": made.people,
        "hosts": made.hosts,
        "seconds": seconds,
        "heartbeat_s": heartbeat_s,
        "report_s": REPORT_S,
    }
    command = [sys.executable, "-m", "load.people"]
    words = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = json.dumps(asked).encode()
    done = subprocess.run(command, input=said, stdout=subprocess.PIPE, env=words, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(
    made: Instance, cluster: Cluster, wanted: argparse.Namespace, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """What the controller's processes used while everybody was there."""
    with running(made):
        told(f"web and worker are up; {len(made.people)} pages come within {wanted.heartbeat_s:g} s")
        load(made, wanted.heartbeat_s, wanted.heartbeat_s)  # connections are made, caches are warm
        told(f"measuring for {wanted.seconds:g} s")
        ours = {name: tree(process.pid) for name, process in made.processes.items()}
        database = tree(int((cluster.socket_dir / "data" / "postmaster.pid").read_text().split()[0]))
        before = {name: cpu_s(pids) for name, pids in ours.items()}
        base, began = cpu_s(database), time.monotonic()
        seen = load(made, wanted.seconds, wanted.heartbeat_s)
        took = time.monotonic() - began
        used = {name: (cpu_s(pids) - before[name]) / took for name, pids in ours.items()}
        figures = {
            "sessions": len(made.people),
            "hosts": len(made.hosts),
            "cpu_cores": round(sum(used.values()), 2),
            "web_cores": round(used["web"], 2),
            "worker_cores": round(used["worker"], 2),
            "postgres_cores": round((cpu_s(database) - base) / took, 2),
            "rss_mib": round(sum(rss_mib(pids) for pids in ours.values())),
            "p50_ms": round(statistics.median(seen["beats_ms"]), 1),
            "p95_ms": percentile(seen["beats_ms"], 95),
            "report_p95_ms": percentile(seen["reports_ms"], 95),
            "requests_per_s": round((len(seen["beats_ms"]) + len(seen["reports_ms"])) / took, 1),
            "failed": len(seen["failed"]),
        }
    for line in seen["failed"][:5]:
        sys.stderr.write(line + "\n")
    return figures | {"unbilled": unbilled(cluster, wanted)}


def unbilled(cluster: Cluster, wanted: argparse.Namespace) -> int:
    """Sessions that the meter left behind by more than two beats and a tick: load must not cost exactness."""
    late_ms = round(2_000 * wanted.heartbeat_s) + 60_000
    with psycopg.connect(host=str(cluster.socket_dir), user="postgres", dbname="load") as db:
        query = (
            "SELECT count(*) FROM gpu_session, (SELECT max(billed_to_ms) AS newest FROM gpu_session) n"
            " WHERE state <> 'running' OR billed_to_ms < n.newest - %s"
        )
        return int(db.execute(query, (late_ms,)).fetchone()[0])  # type: ignore[index]


def main() -> int:
    words = argparse.ArgumentParser()
    words.add_argument("--sessions", type=int, default=2_000)
    words.add_argument("--hosts", type=int, default=250)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--heartbeat-s", type=float, default=HEARTBEAT_S)
    wanted = words.parse_args()
    began = time.monotonic()

    def told(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:4.0f} s  {text}\n")

    with run_cluster("fsync=on") as cluster, tempfile.TemporaryDirectory(prefix="load-") as name:
        cluster.run("CREATE DATABASE load")
        url = cluster.url("load")
        migrate(url)
        made = configured(Path(name), url, free_port(), free_port())
        told(f"{wanted.sessions} sessions on {wanted.hosts} hosts are written to the database")
        populate(made, url, wanted.sessions, wanted.hosts)
        figures = measured(made, cluster, wanted, told)
    goals: dict[str, tuple[str, float]] = {
        "sessions": (">=", 2_000),
        "cpu_cores": ("<=", 1),
        "rss_mib": ("<=", 512),
        "p95_ms": ("<=", 50),
        "failed": ("<=", 0),
        "unbilled": ("<=", 0),
    }
    how = (
        f"{wanted.sessions} pages with a kept connection beat every {wanted.heartbeat_s:g} s, the guards of"
        f" {wanted.hosts} hosts report every {REPORT_S:g} s, for {wanted.seconds:g} s after one round; web (gunicorn, 8 threads)"
        " and worker as installed, cores and memory of both; PostgreSQL with durable commits beside them, counted"
        " apart; a beat's time counts from when it was due"
    )
    reached = all(figures[n] >= v if s == ">=" else figures[n] <= v for n, (s, v) in goals.items())
    outcome = {"name": "load", "figures": figures, "goals": goals, "ok": reached, "how": how, "failures": []}
    sys.stdout.write(json.dumps(outcome) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
