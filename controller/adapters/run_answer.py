"""What ansible-runner's events say: the plugin's answer, the word for a failure, when each stage came."""

from __future__ import annotations

import time
from typing import Any

from controller.adapters.warm.client import LOST
from controller.services.ports import RunOutcome

_KILLED = {LOST, *range(129, 193)}  # 128 and the signal
_STAGES = {
    "playbook_on_start": "playbook",
    "playbook_on_task_start": "task",
    "runner_on_ok": "answer",
    "runner_on_failed": "answer",
    "runner_on_unreachable": "answer",
}


class Answer:
    """Collects one run's answer."""

    def __init__(self) -> None:
        self._result: dict[str, Any] = {}
        self._unreachable = self._whole = False

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event."""
        kind = event.get("event")
        self._unreachable |= kind == "runner_on_unreachable"
        self._whole |= kind == "playbook_on_stats"
        if kind in ("runner_on_ok", "runner_on_failed"):
            found = (event.get("event_data") or {}).get("res", {}).get("axonos")
            if isinstance(found, dict):
                self._result = found

    def outcome(self, status: str, rc: int | None, way: str, stages: dict[str, int]) -> RunOutcome:
        """The run's outcome.

        Args:
            status: ansible-runner's word.
            rc: the program's exit status; None if it was killed.
            way: `warm`, or `cold` and why.
            stages: milliseconds since the run began.
        """
        word, _, why = way.partition(" ")
        told: dict[str, Any] = {"way": word, "way_why": why or None, "stages": stages}
        if status == "successful" and self._whole and self._result.get("ok"):
            return RunOutcome(succeeded=True, result=self._result, **told)
        if status == "timeout":
            code = "timeout"
        elif self._unreachable:
            code = "host_unreachable"
        elif status == "successful" or rc is None or rc in _KILLED:
            return self.broken("run_interrupted", **told)
        else:
            code = str(self._result.get("code") or "run_failed")
        return RunOutcome(succeeded=False, result=self._result, error_code=code, **told)

    def broken(self, code: str = "runner_error", **told: Any) -> RunOutcome:
        """A run that ended by no doing of its host or its playbook; another try may well succeed."""
        result = {"ok": False, "code": code, "message": "the run did not come to its end", "retry": "here"}
        return RunOutcome(succeeded=False, result=result, error_code=code, **told)


class Stages:
    """Milliseconds from the run's begin to each of its stages; the first of a kind counts."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._at: dict[str, int] = {}

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event."""
        if stage := _STAGES.get(str(event.get("event"))):
            self._at.setdefault(stage, self._now())

    def ended(self) -> dict[str, int]:
        """All stages of the run, which has just ended."""
        return self._at | {"ended": self._now()}

    def _now(self) -> int:
        return round((time.monotonic() - self._began) * 1000)
