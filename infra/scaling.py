"""Carries out an elastic pool's next step, and keeps a record of it with its plan.

Which machines the pool has is kept in STATE/stacks/NAME.members.json, with when each was wanted; the stack's
configuration takes its numbers from there. Whatever breaks off is continued by the next step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra import engine
from infra.elastic import Claim, Limits, Member, Step, decide
from infra.errors import InfraError, StackConfigInvalid
from infra.host_register import write_hosts
from infra.instance import Instance
from infra.reporting import Report
from infra.stack_aws import Pool
from infra.stack_file import configured, members_path, read_members

# Asks the controller: `axonos hosts WORDS…`, its JSON object.
Ask = Callable[..., dict[str, Any]]
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Scaler:
    """One elastic pool. `ask` is the controller, `register` hands the stack's hosts to it."""

    instance: Instance
    stack: str
    cli: Path
    ask: Ask
    register: Callable[[], None]
    report: Report

    def step(self) -> dict[str, Any]:
        """Decide and act once.

        Returns:
            The record of it, which is kept in STATE/logs/scale-NAME.jsonl too.

        Raises:
            StackConfigInvalid: the stack has no elastic pool.
            InfraError: the step failed; it is recorded, and continued by the next one.
        """
        pool = self._pool()
        demand = self.ask("demand")
        members = self._members(pool, demand)
        found = decide(int(demand["now_ms"]), _claims(demand), members, _limits(pool))
        record: dict[str, Any] = {"at_ms": int(demand["now_ms"]), "pool": pool.name, **asdict(found)}
        self.report(f"pool {pool.name}: {found.action}, {found.why}")
        try:
            record |= self._act(found, pool, int(demand["now_ms"]), members)
        except InfraError as error:
            record["failed"] = error.message
            raise
        finally:
            self._keep(record)
        return record

    def _pool(self) -> Pool:
        config = configured(self.instance, self.stack)
        pools = [pool for pool in (config.aws.pools if config.aws else ()) if pool.elastic]
        if not pools:
            raise StackConfigInvalid(f"Stack {self.stack} has no pool with `elastic`.")
        return pools[0]

    def _members(self, pool: Pool, demand: Mapping[str, Any]) -> list[Member]:
        """The pool's machines as the controller knows them; one never used is idle since it was made."""
        kept = read_members(self.instance.state, self.stack)
        made = kept.made_ms if kept else {}
        known = {host["name"]: host for host in demand["hosts"]}
        found = []
        for name in pool.names():
            host = known.get(name, {"state": "absent"})
            since = host.get("idle_since_ms")
            if since is None and not host.get("sessions"):
                since = made.get(_number(name))
            found.append(
                Member(
                    name, str(host["state"]), int(host.get("sessions", 0)), int(host.get("homes", 0)), since
                )
            )
        return found

    def _act(self, step: Step, pool: Pool, now_ms: int, members: list[Member]) -> dict[str, Any]:
        if step.action == "grow":
            self._want(pool, now_ms, add=step.count)
            return self._converge()
        if step.action in {"drain", "resume"}:
            return {"asked": [self.ask(step.action, name) for name in step.hosts]}
        if step.action == "remove":
            return self._remove(step.hosts[0], pool, members)
        # Machines that are wanted and not there yet: what broke off is continued.
        return self._converge() if any(m.state == "absent" for m in members) else {}

    def _remove(self, name: str, pool: Pool, members: list[Member]) -> dict[str, Any]:
        """Out of the platform first, which sends its homes away; then the machine."""
        if next(m.state for m in members if m.name == name) != "removed":
            standing = self.ask("remove", name)
            if standing["state"] != "removed":
                return {"asked": [standing]}
        self._want(pool, 0, drop=name)
        return self._converge(frozenset({name}))

    def _want(self, pool: Pool, now_ms: int, *, add: int = 0, drop: str = "") -> None:
        kept = read_members(self.instance.state, self.stack)
        made = dict(kept.made_ms) if kept else dict.fromkeys(map(_number, pool.names()), now_ms)
        following = kept.following if kept else len(made)
        made |= dict.fromkeys(range(following, following + add), now_ms)
        if drop:
            made.pop(_number(drop), None)
        path = members_path(self.instance.state, self.stack)
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"made_ms": made, "following": following + add}
        path.with_suffix(".new").write_text(json.dumps(told, sort_keys=True) + "\n")
        path.with_suffix(".new").replace(path)

    def _converge(self, released: frozenset[str] = frozenset()) -> dict[str, Any]:
        config = configured(self.instance, self.stack)
        plan = engine.preview(config, cli=self.cli, report=self.report, released=released)
        done = engine.up(config, cli=self.cli, report=self.report, released=released)
        write_hosts(self.instance, config, done.outputs)
        self.register()
        return {"plan": plan.as_json()["changed"], "changes": done.changes}

    def _keep(self, record: dict[str, Any]) -> None:
        path = self.instance.state / "logs" / f"scale-{self.stack}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps({**record, "ended_at": time.time()}) + "\n")


def _number(name: str) -> int:
    """A machine's number, the end of its name."""
    return int(name.rpartition("-")[2])


def _claims(demand: Mapping[str, Any]) -> list[Claim]:
    keys = ("gpus", "waiting_since_ms", "latest_ms", "broken", "gpu_model")
    return [Claim(**{key: one[key] for key in keys}) for one in demand["waiting"]]


def _limits(pool: Pool) -> Limits:
    assert pool.elastic is not None
    return Limits(
        floor=pool.elastic.floor,
        cap=pool.elastic.cap,
        gpus_per_host=pool.elastic.gpus_per_host,
        patience_ms=pool.elastic.patience_minutes * MINUTE_MS,
        idle_ms=pool.elastic.idle_minutes * MINUTE_MS,
        gpu_model=pool.gpu_model or "",
    )
