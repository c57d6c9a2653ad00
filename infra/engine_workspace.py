"""Where Pulumi works for one stack: its folder, its environment, its secret and its plugins."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pulumi.automation import LocalWorkspace, ProjectBackend, ProjectSettings, Stack, UpdateSummary
from pulumi.automation._output import OutputMap
from pulumi.automation._stack import StackInitMode

from infra import abandoned_program, plugins
from infra.pulumi_command import InterruptibleCommand
from infra.reporting import Report
from infra.stack_config import StackConfig
from infra.state_backend import backend

PROJECT = "axonos"


class QuietStack(Stack):
    """Asks nothing after an operation: Pulumi's own starts its CLI thrice more, for answers nobody reads."""

    def info(self, show_secrets: bool = True) -> UpdateSummary | None:
        del show_secrets
        never = datetime.fromtimestamp(0, UTC)
        return UpdateSummary("update", never, message="", environment={}, config={}, result="succeeded")

    def outputs(self) -> OutputMap:
        return {}


def make_workspace(
    config: StackConfig,
    cli: Path,
    *,
    report: Report,
    stop: threading.Event,
    tick: Callable[[], None],
    on_interrupt: Callable[[], None],
    program: Callable[[], None],
) -> Stack:
    """The stack, selected or new, with everything Pulumi needs in place.

    Args:
        config: whose folders are used.
        cli: the Pulumi CLI.
        report: told about plugins.
        stop: interrupts any command of this stack.
        tick: called while a command runs.
        on_interrupt: called once when one is interrupted.
        program: declares the resources.
    """
    abandoned_program.expect()
    folder = config.backend_dir / "project"
    folder.mkdir(parents=True, exist_ok=True)
    tools_dir = config.state_dir / "tools"
    environment = _environment(config, tools_dir)
    path = plugins.provide(tools_dir, cli, {**os.environ, **environment}, report, _providers(config))
    command = InterruptibleCommand(str(cli), stop=stop, tick=tick, on_interrupt=on_interrupt)
    project = ProjectSettings(
        name=PROJECT, runtime="python", main=str(Path.cwd()), backend=_named_backend(config)
    )
    workspace = LocalWorkspace(
        work_dir=str(folder),
        pulumi_home=str(tools_dir / "pulumi-home"),
        program=program,
        env_vars={**environment, "PATH": f"{path}:{os.environ.get('PATH', os.defpath)}"},
        project_settings=project,
        pulumi_command=command,
    )
    return QuietStack(config.stack, workspace, StackInitMode.CREATE_OR_SELECT)


def _providers(config: StackConfig) -> tuple[str, ...]:
    return {"local": ("docker",), "metal": (), "aws": ("aws",)}[config.kind]


def _backend(config: StackConfig) -> str:
    return backend(config.backend_dir, config.state_url_file).url


def _named_backend(config: StackConfig) -> ProjectBackend | None:
    """For the project's file; a database's URL may hold a password and stays in the environment."""
    return None if config.state_url_file else ProjectBackend(url=_backend(config))


def _environment(config: StackConfig, tools_dir: Path) -> dict[str, str]:
    return {
        "PULUMI_HOME": str(tools_dir / "pulumi-home"),
        "PULUMI_BACKEND_URL": _backend(config),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase_file(config.state_dir)),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def passphrase_file(state_dir: Path) -> Path:
    """The file with the passphrase of the state's secrets, made at the first use."""
    path = state_dir / "secrets" / "pulumi_passphrase"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    return path
