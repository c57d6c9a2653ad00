"""One run from its request to its outcome. The playbook runs between transactions, never inside one."""

from __future__ import annotations

import json
import logging
from typing import Any

from controller.errors import DatabaseUnavailable
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.ports import Provisioner, RunOutcome
from controller.services.runs import orders as runs
from controller.services.runs import outcomes as run_outcomes
from controller.services.runs import requests as run_requests

# Another event or the end comes at once: both are stored together.
_FOLLOWED = {"playbook_on_play_start", "playbook_on_task_start", "runner_on_ok", "playbook_on_stats"}
log = logging.getLogger(__name__)
MAX_ATTEMPTS = 6  # a start that killed its worker this often is not tried again


class Events:
    """Stores ansible-runner events as they come; keeps them while the database is away."""

    def __init__(self, deps: Deps, taken: runs.Taken) -> None:
        self._deps, self._taken = deps, taken
        self._waiting: list[dict[str, Any]] = []
        self._seq = 0

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event of ansible-runner."""
        self._seq += 1
        data = event.get("event_data") or {}
        body = {"event_data": data, "stdout": event.get("stdout", "")}
        self._waiting.append(
            {
                "seq": int(event.get("counter") or self._seq),
                "event": str(event.get("event", "unknown")),
                "task": data.get("task"),
                "at": self._deps.clock.now_ms(),
                "data": json.dumps(body, default=str).replace("\\u0000", ""),
            }
        )
        if event.get("event") not in _FOLLOWED:
            self.flush()

    def flush(self) -> None:
        """Try to store what waits."""
        try:
            runs.store_events(self._deps, self._taken, self._waiting)
        except DatabaseUnavailable:
            log.warning("run %s: %s events wait for the database", self._taken.id, len(self._waiting))
        else:
            self._waiting = []


def work(deps: Deps, provisioner: Provisioner, taken: runs.Taken) -> bool:
    """Do one taken run to its end.

    Args:
        deps: ports.
        provisioner: runs the playbook.
        taken: from `runs.take`; somebody must renew its lease meanwhile.

    Returns:
        whether its outcome was accepted; False for a worker whose lease ran out.

    Raises:
        DatabaseUnavailable: the outcome could not be written; the run is taken again after its lease.
    """
    if taken.playbook == runs.START and taken.attempt > MAX_ATTEMPTS:
        return run_outcomes.finish(
            deps, taken, RunOutcome(succeeded=False, result={}, error_code="abandoned")
        )
    with deps.database.begin() as db:
        if not run_requests.is_ours(db, taken):  # else a stale worker would get the newest fencing token
            return False
        request = run_requests.request(db, deps.settings, taken, deps.clock.now_ms())
        host = runs.host_facts(db, taken.host)
        variables = {"session_request": request}
        if taken.playbook == home_moves.MOVE:
            host["source"] = home_moves.source(db, taken.id)
            variables["home_source"] = host["source"]["name"]
    events = Events(deps, taken)
    outcome = provisioner.run(
        run_id=taken.id,
        playbook=taken.playbook,
        host=host,
        variables=variables,
        on_event=events,
        timeout_s=run_requests.timeout_s(deps.settings, taken.playbook),
    )
    events.flush()
    accepted = run_outcomes.finish(deps, taken, outcome)
    said = "succeeded" if outcome.succeeded else f"failed: {outcome.error_code}"
    log.info(
        "run %s %s slot=%s attempt=%s %s%s%s %s",
        taken.id,
        taken.playbook,
        taken.slot,
        taken.attempt,
        said,
        "" if accepted else " (dropped: lease lost)",
        f" {outcome.way}: {outcome.way_why}" if outcome.way_why else f" {outcome.way}",
        outcome.stages,
    )
    return accepted
