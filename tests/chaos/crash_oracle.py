"""Truth about a crashed platform: asks Docker, the kernel, the file system and PostgreSQL, each directly.

Imports nothing of `controller`: names, labels and paths are written down here a second time on purpose.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

SLOT = re.compile(r"s-[0-9a-f]{12}")
GONE = ("stopping", "gone")
SETTLED = ("queued", "running", "grace", "ended", "failed")


@dataclass(frozen=True)
class Place:
    """One instance on this machine, as the oracle finds it."""

    instance: str
    engine: str
    run_dir: Path
    homes: Path
    dsn: str

    @property
    def bridge_prefix(self) -> str:
        return f"axb{hashlib.sha256(self.instance.encode()).hexdigest()[:6]}-"


@dataclass
class World:
    """Everything there is at one moment."""

    things: dict[str, set[str]] = field(default_factory=dict)  # slot -> kinds of what it has on the host
    running: dict[str, str] = field(default_factory=dict)  # slot -> container id
    bridges: set[int] = field(default_factory=set)
    homes: set[str] = field(default_factory=set)
    slots: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    gpus: list[dict[str, Any]] = field(default_factory=list)
    pooled: set[str] = field(default_factory=set)  # slots of desktops that nobody has claimed yet
    wallets: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def engine(path: str, target: str) -> Any:
    """One GET of the Docker engine."""
    connection = _Unix(path)
    try:
        connection.request("GET", target)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def look(place: Place) -> World:
    """Look at everything. Raises OSError or psycopg.Error while engine or database are away."""
    world = World()
    chosen = quote(json.dumps({"label": [f"org.axonos.instance={place.instance}"]}))
    for one in engine(place.engine, f"/containers/json?all=1&filters={chosen}"):
        slot = one["Labels"]["org.axonos.slot"]
        _add(world, slot, "container")
        if one["State"] in ("running", "paused"):
            world.running[slot] = one["Id"]
    for one in engine(place.engine, f"/networks?filters={chosen}"):
        _add(world, one["Labels"]["org.axonos.slot"], "network")
    _files(place, world)
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    prefix = place.bridge_prefix
    world.bridges = {int(name.removeprefix(prefix)) for name in links if name.startswith(prefix)}
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    world.tables = {w for w in listed.split() if w.startswith(f"axonos_{place.instance}")}
    _database(place, world)
    return world


def _add(world: World, slot: str, kind: str) -> None:
    world.things.setdefault(slot, set()).add(kind)


def _files(place: Place, world: World) -> None:
    for kind in ("slots", "homes"):
        for path in (place.run_dir / kind).glob("s-*"):
            _add(world, path.name, f"{kind} folder")
    for path in (place.run_dir / "leases").glob("s-*.json"):
        _add(world, path.stem, "lease")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point.startswith(f"{place.run_dir}/") and (match := SLOT.search(point)):
            _add(world, match[0], "mount")
    world.homes = {path.name for path in place.homes.iterdir() if path.name.startswith("0x")}


def _database(place: Place, world: World) -> None:
    with psycopg.connect(place.dsn, row_factory=dict_row, connect_timeout=5) as db:
        world.slots = db.execute("SELECT * FROM slot").fetchall()
        world.sessions = db.execute("SELECT * FROM gpu_session").fetchall()
        world.runs = db.execute("SELECT * FROM run WHERE state IN ('queued', 'running')").fetchall()
        world.gpus = db.execute("SELECT * FROM gpu").fetchall()
        unclaimed = db.execute("SELECT slot_id FROM warm_desktop WHERE claimed_at_ms IS NULL").fetchall()
        world.pooled = {row["slot_id"] for row in unclaimed}
        world.wallets = {row["address"] for row in db.execute("SELECT address FROM wallet").fetchall()}


def orphans(world: World) -> list[str]:
    """What is there and belongs to nobody, and what belongs to somebody and is not there."""
    live = {slot["id"]: slot for slot in world.slots if slot["state"] not in GONE}
    found = [
        f"{slot}: {', '.join(sorted(kinds))} without a slot"
        for slot, kinds in sorted(world.things.items())
        if slot not in live
    ]
    owned = {slot["subnet_index"] for slot in live.values()}
    found += [f"bridge {index} without a slot" for index in sorted(world.bridges - owned)]
    found += [f"home {name} without a wallet" for name in sorted(world.homes - world.wallets)]
    used = {s["slot_id"] for s in world.sessions if s["state"] in ("starting", "running", "grace", "ending")}
    found += [
        f"slot {i} is {s['state']} and nobody's"
        for i, s in live.items()
        if i not in used and i not in world.pooled
    ]
    held = {gpu["slot_id"] for gpu in world.gpus if gpu["state"] == "leased"}
    known = {slot["id"] for slot in world.slots if slot["state"] != "gone"}
    found += [f"a GPU is leased to slot {slot}, which is gone" for slot in sorted(held - known)]
    if len(world.tables) > 1:
        found.append(f"firewall tables: {sorted(world.tables)}")
    return found


def untrue(world: World) -> list[str]:
    """Sessions whose state is not what the host shows."""
    slots = {slot["id"]: slot for slot in world.slots}
    waiting = {s["id"] for s in world.slots if s["state"] == "warm"}
    found = [
        f"slot {slot} waits, its desktop is not there" for slot in sorted(waiting - world.running.keys())
    ]
    for session in world.sessions:
        runs = session["slot_id"] in world.running
        if session["state"] in ("running", "grace") and not runs:
            found.append(f"session {session['id']} is {session['state']}, its desktop is not")
        if (
            session["state"] in ("ended", "failed", "queued")
            and runs
            and slots[session["slot_id"]]["state"] != "stopping"
        ):
            found.append(f"session {session['id']} is {session['state']}, its desktop runs")
    return found


def unsettled(world: World) -> list[str]:
    """What is still under way. A pool that is being filled is not: nobody waits for it."""
    filling = world.pooled & {s["id"] for s in world.slots if s["state"] == "intended"}
    found = [f"session {s['id']} is {s['state']}" for s in world.sessions if s["state"] not in SETTLED]
    busy = [s for s in world.slots if s["state"] in ("intended", "stopping") and s["id"] not in filling]
    found += [f"slot {s['id']} is {s['state']}" for s in busy]
    runs = [r for r in world.runs if r["slot_id"] and r["slot_id"] not in filling]
    found += [f"run {r['id']} {r['playbook']} is {r['state']}" for r in runs]
    found += [f"GPU {g['uuid']} is {g['state']}" for g in world.gpus if g["state"] in ("dirty", "checked")]
    return found


def unproved(dsn: str, lives: dict[str, list[tuple[int, float]]]) -> list[tuple[str, int]]:
    """Billed time in which no container of the session lived.

    Args:
        dsn: of the database.
        lives: for each slot, from when to when (epoch ms) a process of its container lived.

    Returns:
        (session, milliseconds) of every used window that is not covered.
    """
    query = """SELECT w.session_id, w.from_ms, w.to_ms, array_agg(DISTINCT r.slot_id) AS slots
               FROM usage_window w LEFT JOIN run r ON r.session_id = w.session_id
               WHERE w.kind = 'used' GROUP BY 1, 2, 3"""
    with psycopg.connect(dsn, row_factory=dict_row, connect_timeout=5) as db:
        windows = db.execute(query).fetchall()
    found = []
    for window in windows:
        spans = sorted(span for slot in window["slots"] if slot for span in lives.get(slot, []))
        missing = uncovered(window["from_ms"], window["to_ms"], spans)
        if missing:
            found.append((window["session_id"], missing))
    return found


def uncovered(start: int, end: int, spans: list[tuple[int, float]]) -> int:
    """Milliseconds of [start, end) outside all spans."""
    missing, at = 0, start
    for begin, stop in sorted(spans):
        if begin > at:
            missing += max(0, min(begin, end) - at)
        at = max(at, min(int(stop), end) if stop != float("inf") else end)
    return missing + max(0, end - at)


def doubles(gpus: dict[str, dict[str, int]], lives: dict[str, list[tuple[int, float]]]) -> list[str]:
    """Pairs of slots whose containers lived at the same time with the same GPU.

    Args:
        gpus: for each slot, since when (epoch ms) the host leased it which GPU; a desktop that waits has none.
        lives: as in `unproved`.
    """
    found = []
    slots = sorted(slot for slot in gpus if slot in lives)
    for number, one in enumerate(slots):
        for other in slots[number + 1 :]:
            shared = [
                gpu for gpu in gpus[one] if gpu in gpus[other] and _together(gpu, one, other, gpus, lives)
            ]
            if shared:
                found.append(f"{one} and {other} had {', '.join(sorted(shared))} at the same time")
    return found


def _together(
    gpu: str, one: str, other: str, gpus: dict[str, dict[str, int]], lives: dict[str, list[tuple[int, float]]]
) -> bool:
    mine = [(max(a, gpus[one][gpu]), b) for a, b in lives[one]]
    theirs = [(max(c, gpus[other][gpu]), d) for c, d in lives[other]]
    return any(max(a, c) < min(b, d) for a, b in mine for c, d in theirs)


def crossed(dsn: str) -> list[str]:
    """Usage windows of one session that overlap, and charges that are not their windows' price."""
    overlap = """SELECT a.session_id FROM usage_window a JOIN usage_window b ON a.session_id = b.session_id
                 AND a.from_ms < b.from_ms AND b.from_ms < a.to_ms"""
    charges = """SELECT w.session_id FROM usage_window w LEFT JOIN transfer t ON t.key = w.transfer_key
                 WHERE w.kind = 'used' AND t.amount IS DISTINCT FROM (w.to_ms - w.from_ms) * w.gpus"""
    with psycopg.connect(dsn, connect_timeout=5) as db:
        return [
            f"{name} of {row[0]}"
            for name, sql in (("overlap", overlap), ("charge", charges))
            for row in db.execute(sql)
        ]
