"""Reads the events of one operation of Pulumi's engine: what changed, what failed, what to tell meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pulumi.automation.events import EngineEvent, StepEventMetadata

from infra.policy import Planned
from infra.reporting import Report
from infra.summary import QUIET, Change, Drift

_DOING = {
    "create": "creating",
    "update": "updating",
    "delete": "removing",
    "create-replacement": "replacing",
    "delete-replaced": "removing the former",
}
# Replacing is told as one change, by the creation.
_HALF = frozenset({"replace", "delete-replaced", "discard", "discard-replaced", "remove-pending-replace"})
_TRACEBACK_END = re.compile(r"^(?:[\w.]+\.)?(\w+): (.+)$", re.DOTALL)


class Recorder:
    """Collects one operation's events. `__call__` is what the Automation API calls."""

    def __init__(self, report: Report, *, planned: bool) -> None:
        """Args: who listens; whether this is a preview, of which only the plan counts."""
        self._report, self.planned = report, planned
        self.changes: dict[str, int] = {}
        self.changed: list[Change] = []
        self.errors: list[str] = []
        self.plan: list[Planned] = []

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event:
            self._begin(event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._end(event.res_outputs_event.metadata)
        elif event.summary_event:
            self.changes = {
                str(getattr(k, "value", k)): n for k, n in event.summary_event.resource_changes.items()
            }
        elif event.diagnostic_event and event.diagnostic_event.severity == "error":
            self._error(event.diagnostic_event.urn or "", event.diagnostic_event.message)

    def _begin(self, step: StepEventMetadata) -> None:
        op = _op(step)
        if self.planned and op not in _HALF:
            self.plan.append(_planned(step, op))
        if not _counts(step) or op in _HALF:
            return
        if self.planned:
            self._add(step, op)
        elif op in _DOING:
            self._report(f"{_DOING[op]} {kind_of(step.type)} {name_of(step.urn)}")

    def _end(self, step: StepEventMetadata) -> None:
        op = _op(step)
        if not self.planned and _counts(step) and op not in _HALF:
            self._add(step, op)

    def _add(self, step: StepEventMetadata, op: str) -> None:
        op = "replace" if op == "create-replacement" else op
        if op in QUIET:
            return
        tasks = ((step.new.outputs if step.new else None) or {}).get("changed_tasks") or ()
        self.changed.append(
            Change(name_of(step.urn), kind_of(step.type), op, tuple(map(str, tasks)), _differing(step, op))
        )

    def _error(self, urn: str, message: str) -> None:
        said = plain_error(message)
        if said:
            self.errors.append(f"{name_of(urn)}: {said}" if urn and "pulumi:Stack" not in urn else said)


def drift_of(resources: Iterable[dict[str, Any]], vanished: Iterable[Change]) -> tuple[Drift, ...]:
    """What is no longer as recorded.

    Args:
        resources: the stack's resources after a refresh.
        vanished: what the refresh itself found changed or gone.
    """
    found = {
        c.name: Drift(c.name, c.kind, ("gone",) if c.op == "delete" else c.what or ("changed",))
        for c in vanished
    }
    for resource in resources:
        outputs = resource.get("outputs") or {}
        name = name_of(resource["urn"])
        if outputs.get("drift"):
            found[name] = Drift(name, kind_of(resource["type"]), tuple(outputs.get("drift_tasks") or ()))
        elif "drift_tasks" in outputs:
            found.pop(name, None)
    return tuple(found[name] for name in sorted(found))


def plain_error(message: str) -> str:
    """The sentence in an engine's error: colours and a provider's traceback taken off."""
    text = re.sub(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m", "", message).strip()
    if "Traceback (most recent call last)" in text:
        lines = [line for line in text.splitlines() if line and not line.startswith((" ", "\t"))]
        ends = [found for line in lines if (found := _TRACEBACK_END.match(line))]
        text = ends[-1].group(2) if ends else text
    return text.removesuffix(": update failed").strip()


def name_of(urn: str) -> str:
    """A resource's own name, the last part of its URN."""
    return urn.rsplit("::", maxsplit=1)[-1]


def kind_of(type_: str) -> str:
    """A resource's type in one word: `docker:index/network:Network` is a Network."""
    return type_.rsplit(":", maxsplit=1)[-1]


def _planned(step: StepEventMetadata, op: str) -> Planned:
    """A step as the policy looks at it; what would go is described as it is."""
    state = step.new or step.old
    return Planned(
        type=step.type,
        name=name_of(step.urn),
        op="replace" if op == "create-replacement" else op,
        inputs=(state.inputs if state else None) or {},
        protect=bool(state and state.protect),
    )


def _differing(step: StepEventMetadata, op: str) -> tuple[str, ...]:
    """Names of properties that are no longer as recorded; of a playbook run its tasks say more."""
    if op == "create" or not step.old or not step.new or kind_of(step.type) == "PlaybookRun":
        return ()
    old, new = step.old.outputs or {}, step.new.outputs or {}
    return tuple(sorted(key for key in {*old, *new} if key[:2] != "__" and old.get(key) != new.get(key)))


def _op(step: StepEventMetadata) -> str:
    return str(getattr(step.op, "value", step.op))


def _counts(step: StepEventMetadata) -> bool:
    return step.type != "pulumi:pulumi:Stack" and not step.type.startswith("pulumi:providers:")
