"""A playbook run as a Pulumi resource, so that a host's drift stands in the plan.

Created and updated by running the playbook; read by running it with `--check`, which names what somebody
changed by hand. The provider class captures nothing: Pulumi pickles it into the state by its import path.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.content_hash import content_hash, files_hash
from infra.errors import InfraError
from infra.playbook_events import Outcome
from infra.playbook_process import Request, execute

CANCEL = "cancel"


class PlaybookFailed(InfraError):
    """A playbook did not run to its end."""

    code = "playbook_failed"
    retry = True


class PlaybookRunProvider(ResourceProvider):
    """Runs playbooks on behalf of Pulumi's engine."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(str(props["name"]), _converge(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_converge(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Changed content or drift. The provider's own serialised form in `__provider` never counts."""
        return DiffResult(changes=olds.get("content") != news.get("content") or bool(olds.get("drift")))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at the host with `--check`; unnecessary where changed files make the run due anyway."""
        if files_hash(Path(props["playbook"]), map(Path, props["watched"])) != props["files"]:
            return ReadResult(id_, props)
        outcome = _run(props, check=True)
        if outcome.status == "canceled":
            raise PlaybookFailed(f"The check of {id_} was interrupted.")
        names = outcome.changed + [f"{name}: fails" for name in outcome.failed]
        if outcome.status not in {"successful", "failed"} and not names:
            names = [f"the check ended as {outcome.status}"]
        if outcome.status == "failed" and not names:
            names = ["the check did not run to its end"]
        return ReadResult(id_, {**props, "drift": len(names), "drift_tasks": names})


def _converge(props: dict[str, Any]) -> dict[str, Any]:
    outcome = _run(props, check=False)
    if outcome.status != "successful":
        what = "; ".join(outcome.failed) or outcome.status
        raise PlaybookFailed(f"{what}. Events: {_request(props, check=False).log}")
    return {**props, "drift": 0, "drift_tasks": [], "changed_tasks": outcome.changed}


def _run(props: dict[str, Any], *, check: bool) -> Outcome:
    """Run it, until its end or until the engine is interrupted and leaves its mark in the work folder."""
    cancel = Path(props["work_dir"]) / CANCEL
    return execute(_request(props, check=check), cancel.exists)


def _request(props: dict[str, Any], *, check: bool) -> Request:
    taken = ("name", "playbook", "inventory", "variables", "work_dir", "log_dir")
    # Numbers come back from Pulumi's state as floats.
    return Request(**{key: props[key] for key in taken}, timeout_s=int(props["timeout_s"]), check=check)


class PlaybookRun(Resource, module="axonos", name="PlaybookRun"):
    """One playbook, converged. `drift` counts what the last refresh found altered, `drift_tasks` names it."""

    content: pulumi.Output[str]
    drift: pulumi.Output[float]
    drift_tasks: pulumi.Output[list[str]]
    changed_tasks: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        playbook: Path,
        inventory: pulumi.Input[dict[str, Any]],
        variables: pulumi.Input[dict[str, Any]],
        work_dir: Path,
        log_dir: Path,
        timeout_s: int,
        watched: Iterable[Path] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Args: the playbook with its hosts and variables, and what else counts as its content."""
        roots = list(watched)
        files = files_hash(playbook, roots)
        content = pulumi.Output.all(inventory, variables).apply(
            lambda known: content_hash(files, known[0], known[1])
        )
        props = {
            "name": name,
            "playbook": str(playbook),
            "inventory": inventory,
            "variables": variables,
            "watched": [str(root) for root in roots],
            "files": files,
            "content": content,
            "work_dir": str(work_dir),
            "log_dir": str(log_dir),
            "timeout_s": timeout_s,
            "drift": None,
            "drift_tasks": None,
            "changed_tasks": None,
        }
        super().__init__(PlaybookRunProvider(), name, props, opts)
