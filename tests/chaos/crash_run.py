"""`axonos bench crash`: kills every process at every step, and asks an oracle what is left.

    crash_run.py --runs 60 --seed 7 [--only N] [--dead-controller] [--verbose]

A run is one session that stood at one step while one fault happened. A batch of them has one fault; batch N of
a seed is the same whenever it is run. One JSON object on stdout, its words on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for folder in (
    TESTS.parent,
    TESTS,
    TESTS / "integration/host",
    TESTS / "integration/sessions",
    TESTS / "chaos",
):
    sys.path.insert(0, str(folder))

import crash_oracle as oracle  # noqa: E402
import psycopg  # noqa: E402
from crash_cases import WAITING, Batch, batches  # noqa: E402
from crash_instance import SERVICES, Instance, eventually  # noqa: E402
from crash_points import Point  # noqa: E402
from crash_post import Post, Watch  # noqa: E402
from crash_tally import Tally, outcome  # noqa: E402
from crash_user import User  # noqa: E402
from crash_watcher import Watcher  # noqa: E402

SETTLE_S = 60
SLOW_S = 7
SILENT_S = 120  # longer than any run may take
COLD, WARM = "medium", "small"  # only Small desktops wait in the pool
PROCESSES = ("web", "worker", "gateway", "guard", "postgres", "dockerd")
AWAY = (OSError, ValueError, KeyError, psycopg.Error)


@dataclass
class Case:
    """One session of a batch."""

    point: Point
    user: User
    watch: Watch
    session: str = ""


class Bench:
    """Batches on one instance."""

    def __init__(self, instance: Instance, said=print) -> None:
        self.instance, self.said = instance, said
        self.post, self.watcher, self.tally = Post(instance.post), Watcher(instance.place), Tally()
        self.users = [User(instance.port, number) for number in range(8)]
        self._told = 0
        for user in self.users:
            user.sign_in()
            instance.platform.credit(user.wallet, 6_000)

    def close(self) -> None:
        self.post.close()
        self.watcher.close()

    # -- one batch

    def run(self, batch: Batch) -> None:
        """Set up, bring every session to its step, let the fault happen, wait until all is well, clear up."""
        rng = random.Random(batch.seed)
        users = rng.sample(self.users, len(batch.points))
        cases = [self._prepare(point, user) for point, user in zip(batch.points, users, strict=True)]
        self.post.arm([case.watch for case in cases])
        acting = [threading.Thread(target=self._act, args=(case,), daemon=True) for case in cases]
        for thread in acting:
            thread.start()
        self.post.wait(20, 4)
        hit = [case for case in cases if case.watch.hit]
        self._fault(batch.fault, hit, rng)
        back = time.monotonic()
        took, left = self._settle(back)
        for thread in acting:
            thread.join(30)
        self._note(batch, cases, hit, took, left)
        self._clear_up(batch)

    def _prepare(self, point: Point, user: User) -> Case:
        playbook = "session_stop" if point.op in ("stop", "delete") else "session_start"
        keys = frozenset() if point.op == "fill" else frozenset({user.wallet})
        case = Case(point, user, Watch(point.name, playbook, keys))
        if point.op in ("claim", "fill"):
            eventually(lambda: len(self._waiting()) >= WAITING, "the pool did not fill")
        if point.op in ("stop", "delete"):
            case.session = user.claim(COLD)["id"]
            eventually(lambda: self._state(user) == "running", f"{user.wallet} did not start")
            user.detach(case.session)
            case.watch.keys |= {case.session, *self._slots(user.wallet)}
        return case

    def _act(self, case: Case) -> None:
        """The person's one click; whether it is answered is the platform's business."""
        with contextlib.suppress(*AWAY):
            if case.point.op == "fill":  # nobody clicks: a desktop that waited dies, and another is made
                self._remove_desktop(self._waiting()[0])
            elif case.point.op in ("create", "claim"):
                threading.Thread(target=self._learn, args=(case,), daemon=True).start()
                case.user.claim(COLD if case.point.op == "create" else WARM)
            else:
                case.user.end(case.session)

    def _waiting(self) -> list[str]:
        """Slots of the desktops that a claim could take now."""
        with psycopg.connect(self.instance.dsn, connect_timeout=3) as db:
            return [slot for (slot,) in db.execute("SELECT id FROM slot WHERE state = 'warm'").fetchall()]

    def _remove_desktop(self, slot: str) -> None:
        """By the engine: what is frozen is not killed before it thaws."""
        container = oracle.look(self.instance.place).running[slot]
        asked = ["docker", "-H", f"unix://{self.instance.engine}", "rm", "-f", container]
        subprocess.run(asked, capture_output=True, check=False)

    def _kill_desktops(self, slots: list[str]) -> None:
        running = oracle.look(self.instance.place).running
        ids = [running[slot] for slot in slots if slot in running]
        _kill(*(oracle.engine(self.instance.engine, f"/containers/{i}/json")["State"]["Pid"] for i in ids))

    def _learn(self, case: Case) -> None:
        """Which slot a claim was given: the host's steps speak of slots only."""
        until = time.monotonic() + 15
        while time.monotonic() < until and case.watch.hit is None:
            with contextlib.suppress(*AWAY):
                case.watch.keys |= set(self._slots(case.user.wallet))
            time.sleep(0.02)

    def _slots(self, wallet: str) -> list[str]:
        query = """SELECT g.id, g.slot_id FROM gpu_session g WHERE wallet = %s
                   AND state NOT IN ('ended', 'failed')"""
        with psycopg.connect(self.instance.dsn, connect_timeout=3) as db:
            return [word for row in db.execute(query, (wallet,)).fetchall() for word in row if word]

    def _state(self, user: User) -> str | None:
        try:
            current = user.current()
        except OSError:
            return None
        return current["state"] if current else None

    # -- faults

    def _fault(self, fault: str, hit: list[Case], rng: random.Random) -> None:
        instance = self.instance
        if fault == "self":
            self._kill_themselves(hit)
        elif fault in PROCESSES:
            if fault == "dockerd":
                instance.live_restore = rng.random() < 0.5
            instance.kill(fault)
            self.post.disarm()
            time.sleep(rng.uniform(0, 1.5))
            instance.spawn(fault)
        elif fault == "warm":
            _kill(*instance.processes_of("controller.adapters.warm.server"))
        elif fault == "ansible":
            _kill(*(pid for case in hit for pid in _ansible_above(case.watch.hit.pid)))
        elif fault == "container":
            self._kill_desktops([key for case in hit for key in case.watch.keys | case.watch.hit.keys])
        elif fault == "slow":
            time.sleep(SLOW_S)
        elif fault == "silent":
            self._wait_given_up(hit)
        self.post.disarm("go" if fault in ("self", "slow", "warm", "ansible", "container") else fault)
        if fault == "web" or any(case.point.process == "web" for case in hit):
            instance.wait_ready()

    def _wait_given_up(self, hit: list[Case]) -> None:
        """A host that does not answer at all: the platform itself has to end what it asked."""
        self.post.disarm("silent")
        try:
            eventually(
                lambda: not any(_lives(case.watch.hit.pid) for case in hit), "nobody gave up", SILENT_S
            )
        except TimeoutError:
            self.tally.problems.append("a host program that never answered was not ended")
            _kill(*(case.watch.hit.pid for case in hit))

    def _kill_themselves(self, hit: list[Case]) -> None:
        for name in sorted({case.point.process for case in hit} - {"host"}):
            self.instance.kill(name)
        _kill(*(case.watch.hit.pid for case in hit if case.point.process == "host"))
        for name in sorted({case.point.process for case in hit} - {"host"}):
            self.instance.spawn(name)

    # -- afterwards

    def _settle(self, since: float) -> tuple[float, list[str]]:
        """Until nothing is under way and host and database agree; what does not come to that."""
        left = ["nothing could be seen"]
        while time.monotonic() - since < SETTLE_S:
            try:
                world = oracle.look(self.instance.place)
            except (OSError, ValueError, KeyError, TypeError, psycopg.Error) as error:
                left = [f"nothing could be seen: {error}"]
            else:
                left = oracle.orphans(world) + oracle.untrue(world) + oracle.unsettled(world)
                if not left:
                    return time.monotonic() - since, []
            time.sleep(0.1)
        world = oracle.look(self.instance.place)
        self.tally.orphans += len(oracle.orphans(world))
        self.tally.untrue += len(oracle.untrue(world))
        return time.monotonic() - since, left

    def _note(self, batch: Batch, cases: list[Case], hit: list[Case], took: float, left: list[str]) -> None:
        tally = self.tally
        tally.batches += 1
        tally.runs += len(hit)
        tally.not_reached += len(cases) - len(hit)
        tally.converge_s += [took] * len(hit)
        states = [f"{case.point.name}:{self._state(case.user)}" for case in cases]
        self.said(
            f"{batch}: {len(hit)} of {len(cases)} reached, settled after {took:.1f} s, {' '.join(states)}"
        )
        for failed in self.failed_runs():
            self.said(f"    {failed}")
        if left:
            tally.problems.append(f"{batch}: {'; '.join(left)}")

    def failed_runs(self) -> list[str]:
        """What the operator would read of runs that failed since the last batch."""
        query = """SELECT id, playbook, slot_id, error_code, result->>'message' FROM run
                   WHERE state = 'failed' AND error_code <> 'called_off' AND id > %s ORDER BY id"""
        with psycopg.connect(self.instance.dsn, connect_timeout=3) as db:
            rows = db.execute(query, (self._told,)).fetchall()
        self._told = rows[-1][0] if rows else self._told
        return [f"run {' '.join(map(str, row))}" for row in rows]

    def _clear_up(self, batch: Batch) -> None:
        """Everybody ends or leaves the queue; then nothing may be there."""
        for user in self.users:
            with contextlib.suppress(*AWAY):
                current = user.current()
                if current is not None and current["state"] != "ending":
                    user.end(current["id"])
        _, left = self._settle(time.monotonic())
        world = oracle.look(self.instance.place)
        there = sorted(world.things.keys() - world.pooled)
        if there and not left:
            left = [f"{slot}: {sorted(world.things[slot])} after everybody left" for slot in there]
            self.tally.orphans += len(left)
        if left:
            self.tally.problems.append(f"{batch}, after everybody left: {'; '.join(left)}")

    def leave_dead(self) -> None:
        """The controller dies and does not come back: everything is stopped once its lease is over."""
        users = self.users[:4]
        for user in users:
            user.claim(COLD)
        for user in users:
            eventually(lambda user=user: self._state(user) == "running", "did not start")
            user.detach(user.current()["id"])
        for name in ("web", "worker"):
            self.instance.kill(name)
        leases = [
            json.loads(p.read_text())["until_ms"]
            for p in (self.instance.place.run_dir / "leases").glob("s-*.json")
        ]
        last = max(leases) / 1000
        limit = last + 60
        while time.time() < limit:
            if not oracle.look(self.instance.place).things:
                break
            time.sleep(0.2)
        self.tally.dead_s.append(time.time() - last)
        for name in ("web", "worker"):
            self.instance.spawn(name)
        self.instance.wait_ready()
        took, left = self._settle(time.monotonic())
        self.said(
            f"dead controller: empty {self.tally.dead_s[-1]:.1f} s after the last lease; back in {took:.1f} s"
        )
        if left:
            self.tally.problems.append(f"dead controller: {'; '.join(left)}")

    def outcome(self) -> dict:
        """The bench's JSON object."""
        return outcome(self.tally, self.watcher, self.instance.dsn)


def _kill(*pids: int) -> None:
    for pid in pids:
        if pid > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _ansible_above(pid: int) -> list[int]:
    """The Ansible process that a host program was started by: the nearest one above it."""
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            return []
        if b"ansible" in words or b"warm.server" in words:
            return [pid]
    return []


def main() -> int:
    """Returns 0 if every goal is reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--dead-controller", action="store_true")
    chosen = parser.parse_args()
    began = time.monotonic()

    def said(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    outcome = measure(
        chosen.runs, chosen.seed, said, only=chosen.only, dead_controller=chosen.dead_controller
    )
    print(json.dumps(outcome), flush=True)
    return 0 if outcome["ok"] else 1


def measure(runs: int, seed: int, said, *, only: int | None = None, dead_controller: bool = False) -> dict:
    """Run batches until there were enough runs; the instance is gone afterwards."""
    instance = Instance()
    try:
        instance.build()
        bench = Bench(instance, said)
        try:
            for batch in batches(seed):
                if only is not None and batch.number < only:
                    continue
                bench.run(batch)
                if only is not None or bench.tally.runs >= runs:
                    break
            if dead_controller:
                bench.leave_dead()
            outcome = bench.outcome()
            for problem in bench.tally.problems:
                said(f"PROBLEM {problem}")
        except TimeoutError:
            for failed in bench.failed_runs():
                said(f"    {failed}")
            raise
        finally:
            bench.close()
    except TimeoutError:
        for name in (*SERVICES, "dockerd"):
            said(f"{name} said last: {instance.log(name)[-1500:]}")
        raise
    finally:
        instance.clear()
    pairs = "one step each of create, claim, fill, stop and delete x one fault; kill -9 of web, worker, guard, gateway, host program,"
    outcome["how"] = (
        f"seed {seed}: {pairs} Ansible child, warm Ansible, container, dockerd, PostgreSQL; full disk, missing image, "
        "refusing engine, slow and silent host; own PostgreSQL, own dockerd, real ansible-runner runs, tiny image; "
        "counted by an oracle that asks Docker, kernel, file system and PostgreSQL"
    )
    return outcome


if __name__ == "__main__":
    sys.exit(main())
