"""Drives Pulumi's engine on one stack: preview, up, refresh, destroy.

One operation at a time per stack; a second one waits. Interrupting an operation lets Pulumi record what was
finished, so the next one continues. State lies in the instance's own folder; nothing leaves the machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pulumi.automation.errors import CommandError

from infra.built_image import built_image
from infra.docker_engine import docker_answers
from infra.engine_events import Recorder, drift_of, kind_of, name_of
from infra.engine_workspace import PROJECT, make_workspace
from infra.errors import InfraError, Interrupted, PolicyRefused
from infra.known_hosts import pin
from infra.playbook_run import CANCEL
from infra.policy import Violation, judge
from infra.program import Image, declare
from infra.reporting import Report, silent
from infra.run_log import RunLogs
from infra.stack_config import StackConfig
from infra.stack_lock import wait_for_owner
from infra.state_backend import backend
from infra.summary import Change, Drift, Summary


class OperationFailed(InfraError):
    """Pulumi could not finish. What was done before is recorded; run it again when the cause is mended."""

    code = "operation_failed"
    retry = True


def preview(
    config: StackConfig,
    *,
    cli: Path,
    report: Report = silent,
    image: Image = None,
    released: frozenset[str] = frozenset(),
) -> Summary:
    """What `up` would change, as far as the recorded state tells.

    Args:
        config: the wanted stack.
        cli: the Pulumi CLI.
        report: told each step.
        image: the desktop image or its future; default is what the images folder records.
        released: hosts that may end or be replaced.

    Returns:
        What would change, and the `violations` for which `up` would refuse it.
    """
    with _engine(config, cli, report, image, released=released) as engine:
        changed = engine.plan()
        return replace(engine.summary("preview", changed), violations=engine.violations)


def up(
    config: StackConfig,
    *,
    cli: Path,
    report: Report = silent,
    image: Image = None,
    stop: threading.Event | None = None,
    released: frozenset[str] = frozenset(),
) -> Summary:
    """Bring the stack to the wanted state: look for drift, plan, and change what differs.

    Args:
        config: the wanted stack; it is kept for later commands.
        cli: the Pulumi CLI.
        report: told each step.
        image: the desktop image or its future; default is what the images folder records.
        stop: setting it interrupts, as Ctrl-C does.
        released: hosts that may end or be replaced, because nothing runs on them any more.

    Returns:
        What changed and what had drifted; no changes when everything was as wanted.

    Raises:
        OperationFailed: with Pulumi's reason.
        PolicyRefused: the plan is against a rule; nothing was changed.
        StackBusy: another run did not finish in time.
        Interrupted: by Ctrl-C or `stop`.
    """
    config.save()
    pin(config.known_hosts, config.hosts)
    with _engine(config, cli, report, image, stop, released=released) as engine:
        return engine.converge()


def refresh(config: StackConfig, *, cli: Path, report: Report = silent) -> Summary:
    """Compare the record with the real world: names drift, changes nothing but the record."""
    with _engine(config, cli, report) as engine:
        drift = engine.look()
        return engine.summary("refresh", [], drift)


def destroy(
    config: StackConfig,
    *,
    cli: Path,
    report: Report = silent,
    stop: threading.Event | None = None,
    with_homes: bool = False,
) -> Summary:
    """Remove what the stack made. Hosts that existed keep what playbooks set up, homes their files.

    Args:
        config: the stack.
        cli: the Pulumi CLI.
        report: told each step.
        stop: setting it interrupts.
        with_homes: volumes in a cloud go too, with every home on them.
    """
    with _engine(config, cli, report, stop=stop) as engine:
        changed = engine.remove(with_homes=with_homes)
        return engine.summary("destroy", changed)


def cancel(config: StackConfig, *, cli: Path, report: Report = silent) -> bool:
    """Take away a lock whose owner is dead; True if there was one. A living owner's lock stays."""
    with _engine(config, cli, report) as engine:
        return engine.unlocked


def outputs(config: StackConfig, *, cli: Path) -> dict[str, Any]:
    """The stack's outputs as last recorded."""
    with _engine(config, cli, silent) as engine:
        return engine.outputs()


@contextmanager
def _engine(
    config: StackConfig,
    cli: Path,
    report: Report,
    image: Image = None,
    stop: threading.Event | None = None,
    *,
    released: frozenset[str] = frozenset(),
) -> Iterator[Engine]:
    stopping = stop or threading.Event()
    chosen = image or built_image(config.state_dir / "images")
    waiting = backend(config.backend_dir, config.state_url_file).turn(
        config.stack, timeout_s=config.lock_timeout_s, report=report, stopped=stopping.is_set
    )
    try:
        with waiting:
            yield Engine(config, cli, report, chosen, stopping, released=released)
    except KeyboardInterrupt:
        raise Interrupted from None


class Engine:
    """One stack while it is our turn."""

    def __init__(
        self,
        config: StackConfig,
        cli: Path,
        report: Report,
        image: Image,
        stop: threading.Event,
        *,
        released: frozenset[str],
    ) -> None:
        """Args: as of `up`."""
        self._config, self._report, self._started = config, report, time.monotonic()
        self._policy = config.rules(released)
        self.violations: tuple[Violation, ...] = ()
        self._recorded: list[dict[str, Any]] | None = None
        self._cancel = config.work_dir / CANCEL
        self._cancel.unlink(missing_ok=True)
        logs = RunLogs(config.log_dir, report)
        self._stack = make_workspace(
            config,
            cli,
            report=report,
            stop=stop,
            tick=logs.tick,
            on_interrupt=self._interrupt,
            program=lambda: declare(config, image),
        )
        state = backend(config.backend_dir, config.state_url_file)
        self.unlocked = wait_for_owner(
            lambda: state.owners(PROJECT, config.stack),
            timeout_s=config.lock_timeout_s,
            report=report,
            stopped=stop.is_set,
        )
        if self.unlocked:
            report("taking away the lock of a run that was killed")
            self._stack.cancel()

    def _interrupt(self) -> None:
        """End the playbooks that run: each looks for this file."""
        self._report("interrupted: finishing what was started and recording it")
        self._cancel.parent.mkdir(parents=True, exist_ok=True)
        self._cancel.touch()

    def converge(self) -> Summary:
        """Drift, plan, changes; nothing is run where the plan is empty."""
        changed, drift = self._revive_docker()
        drift = (*drift, *self.look())
        planned = self.plan()
        if self.violations:
            raise PolicyRefused("\n  ".join(["The plan is against the rules:", *map(str, self.violations)]))
        if planned:
            changed = [*changed, *self._operate(self._stack.up, planned=False)]
        return self.summary("up", changed, drift)

    def _revive_docker(self) -> tuple[list[Change], tuple[Drift, ...]]:
        """Where Docker does not answer, the playbooks that bring it go first, alone.

        Everything else of the stack can only be looked at through Docker.
        """
        first = {
            f"{p.name}-{h.name}"
            for p in self._config.playbooks
            for h in self._config.hosts
            if not p.after_image
        }
        runs = [r["urn"] for r in self._resources() if kind_of(r["type"]) == "PlaybookRun"]
        target = [urn for urn in runs if name_of(urn) in first]
        if not target or docker_answers():
            return [], ()
        self._report("Docker does not answer: converging its hosts first")
        drift = self.look(target=target)
        return self._operate(self._stack.up, planned=False, target=target), drift

    def look(self, **options: Any) -> tuple[Drift, ...]:
        """Refresh, and name what drifted. Nothing to look at in an empty stack."""
        if not self._resources():
            return ()
        self._report("looking for what changed since the last run")
        found = self._operate(self._stack.refresh, planned=False, clear_pending_creates=True, **options)
        return drift_of(self._resources(), found)

    def plan(self) -> list[Change]:
        """Preview: what would change, looked at by the policy."""
        self._report("planning")
        self._release()
        recorder = Recorder(self._report, planned=True)
        try:
            self._run(self._stack.preview, recorder)
        except OperationFailed:
            # Pulumi refuses to plan without a volume that is protected; our rule says it better.
            if not judge(recorder.plan, self._policy):
                raise
        self.violations = judge(recorder.plan, self._policy)
        return recorder.changed

    def _release(self) -> None:
        """Volumes of released hosts are protected no longer; declared once more, they are so again."""
        names = {f"{host}-homes" for host in self._policy.released}
        held = [r["urn"] for r in self._resources() if r.get("protect") and name_of(r["urn"]) in names]
        for urn in held:
            self._unprotect(urn)

    def _unprotect(self, what: str) -> None:
        workspace = self._stack.workspace
        words = ["state", "unprotect", what, "--yes", "--stack", self._stack.name]
        workspace.pulumi_command.run(words, workspace.work_dir, workspace.env_vars)
        self._recorded = None

    def remove(self, *, with_homes: bool) -> list[Change]:
        """Destroy; removing what is gone already is no error. Homes stay unless they are named."""
        options: dict[str, Any] = {}
        kept = [r["urn"] for r in self._resources() if r.get("protect")]
        if kept and with_homes:
            self._unprotect("--all")
        elif kept:
            options["exclude_protected"] = True
            self._report(f"kept with their homes: {', '.join(map(name_of, kept))}")
        return self._operate(self._stack.destroy, planned=False, run_program=False, **options)

    def _operate(self, operation: Callable[..., Any], *, planned: bool, **options: Any) -> list[Change]:
        recorder = Recorder(self._report, planned=planned)
        self._run(operation, recorder, **options)
        return recorder.changed

    def _run(self, operation: Callable[..., Any], recorder: Recorder, **options: Any) -> None:
        try:
            operation(on_event=recorder, color="never", suppress_progress=True, **options)
        except CommandError as error:
            raise OperationFailed("\n".join(dict.fromkeys(recorder.errors)) or str(error)) from error
        finally:
            if not recorder.planned:
                self._recorded = None

    def _resources(self) -> list[dict[str, Any]]:
        """The record, read once until the next change: it is our turn, nobody else writes it."""
        if self._recorded is None:
            deployment = self._stack.export_stack().deployment or {}
            self._recorded = deployment.get("resources") or []
        return self._recorded

    def outputs(self) -> dict[str, Any]:
        """What the program exported."""
        for resource in self._resources():
            if kind_of(resource["type"]) == "Stack":
                return dict(resource.get("outputs") or {})
        return {}

    def summary(self, operation: str, changed: list[Change], drift: tuple[Drift, ...] = ()) -> Summary:
        """The operation's result."""
        counts: dict[str, int] = {}
        for change in changed:
            counts[change.op] = counts.get(change.op, 0) + 1
        return Summary(
            operation=operation,
            stack=self._config.stack,
            changes=counts,
            changed=tuple(changed),
            drift=drift,
            outputs=self.outputs(),
            seconds=time.monotonic() - self._started,
        )


__all__ = ["OperationFailed", "cancel", "destroy", "outputs", "preview", "refresh", "up"]
