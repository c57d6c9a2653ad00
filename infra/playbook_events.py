"""What ansible-runner's events say about a run: which tasks changed something, which failed. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

_FAILED = ("runner_on_failed", "runner_on_unreachable")


@dataclass
class Outcome:
    """How a playbook run ended."""

    status: str = "failed"
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain data for the pipe between the run and its starter."""
        return asdict(self)


def take(outcome: Outcome, event: dict[str, Any]) -> None:
    """Add one event to the outcome."""
    kind, data = event.get("event", ""), event.get("event_data", {})
    result = data.get("res") or {}
    if kind == "runner_on_ok" and result.get("changed"):
        _name(outcome.changed, data, result)
    elif kind in _FAILED and not data.get("ignore_errors"):
        _name(outcome.failed, data, {})
        said = _in_a_line("; ".join(filter(None, [result.get("msg"), *_item_messages(result)])))
        outcome.failed[-1:] = [f"{outcome.failed[-1]}: {said}" if said else outcome.failed[-1]]


def log_line(event: dict[str, Any]) -> dict[str, Any]:
    """The part of an event that is kept in the run's log; results stay out, they may be large."""
    data = event.get("event_data", {})
    kept = {key: data[key] for key in ("play", "task", "host", "role", "duration") if data.get(key)}
    result = data.get("res") or {}
    if result.get("changed"):
        kept["changed"] = True
    if event.get("event") in _FAILED:
        kept["message"] = str(result.get("msg", ""))[:2000]
    return {"at": event.get("created"), "event": event.get("event"), **kept, "text": event.get("stdout", "")}


def _in_a_line(text: str) -> str:
    """What was said, without the frames of `@` that ssh draws round what matters."""
    return " ".join(said for line in text.splitlines() if (said := line.strip(" @")))


def _item_messages(result: dict[str, Any]) -> list[str]:
    """What the failed items of a loop said."""
    return [str(item.get("msg", "")) for item in result.get("results", []) if item.get("failed")]


def _name(names: list[str], data: dict[str, Any], result: dict[str, Any]) -> None:
    """A task's name with the path it is about; of a loop, each item that changed or failed."""
    items = [item for item in result.get("results", []) if item.get("changed") or item.get("failed")]
    for about in items or [result]:
        path = about.get("dest") or about.get("path") or _diffed(about)
        name = f"{data.get('task', '?')} ({path})" if path else str(data.get("task", "?"))
        if str(data.get("host")) not in {"localhost", "local", "None"}:
            name = f"{data['host']}: {name}"
        if name not in names:
            names.append(name)


def _diffed(result: dict[str, Any]) -> str | None:
    """The file a `--diff` is about: modules of ansible.builtin name it in one of two places."""
    diffs = result.get("diff") or []
    for diff in diffs if isinstance(diffs, list) else [diffs]:
        if not isinstance(diff, dict):
            continue
        before, after = diff.get("before_header"), diff.get("after")
        if isinstance(before, str) and before.startswith("/"):
            return before.split(" ")[0]
        if isinstance(after, dict) and after.get("path"):
            return str(after["path"])
    return None
