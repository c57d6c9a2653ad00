"""What one engine operation did, in words an operator and a program can read. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infra.policy import Violation

# Operations of Pulumi's engine that leave everything as it was.
QUIET = frozenset({"same", "read", "refresh"})


@dataclass(frozen=True)
class Change:
    """One resource that was changed, or in a preview would be.

    `tasks`: of a playbook run, those that changed something. `what`: of others, the properties that differ.
    """

    name: str
    kind: str
    op: str
    tasks: tuple[str, ...] = ()
    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drift:
    """Something that was no longer as recorded: a resource, and what about it (task or property names)."""

    name: str
    kind: str
    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The outcome of preview, up, refresh or destroy."""

    operation: str
    stack: str
    changes: dict[str, int] = field(default_factory=dict)
    changed: tuple[Change, ...] = ()
    drift: tuple[Drift, ...] = ()
    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    violations: tuple[Violation, ...] = ()

    @property
    def changed_count(self) -> int:
        """How many resources changed."""
        return len(self.changed)

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "operation": self.operation,
            "stack": self.stack,
            "changes": self.changes,
            "changed": [
                {**vars(change), "tasks": list(change.tasks), "what": list(change.what)}
                for change in self.changed
            ],
            "drift": [{"name": d.name, "kind": d.kind, "what": list(d.what)} for d in self.drift],
            "outputs": self.outputs,
            "violations": [vars(violation) for violation in self.violations],
            "seconds": round(self.seconds, 2),
        }
