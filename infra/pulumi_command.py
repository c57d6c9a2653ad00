"""Runs the Pulumi CLI so that Ctrl-C lets it finish what it started and record it.

The CLI gets a session of its own: the terminal's Ctrl-C reaches only us, and we tell it once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

from pulumi.automation import PulumiCommand
from pulumi.automation._cmd import CommandResult
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from infra.errors import Interrupted

OnOutput = Callable[[str], Any]
LOOK_EVERY_S = 0.1
WIND_DOWN_S = 90.0


class InterruptibleCommand(PulumiCommand):
    """The CLI, with a look at `stop` and a call of `tick` ten times a second while it runs."""

    def __init__(
        self,
        program: str,
        *,
        stop: threading.Event,
        tick: Callable[[], None],
        on_interrupt: Callable[[], None],
    ) -> None:
        """Args: the CLI's path; `on_interrupt` is called once, before the CLI is told to stop."""
        self._stop, self._tick, self._on_interrupt = stop, tick, on_interrupt
        self.command = program
        printed = subprocess.run(
            [program, "version"], env=_environment({}), capture_output=True, text=True, check=True
        )
        self.version = VersionInfo.parse(printed.stdout.strip().removeprefix("v"))

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> CommandResult:
        if self._stop.is_set():
            raise Interrupted
        with subprocess.Popen(
            [self.command, "--non-interactive", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=_environment(additional_env),
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            out, err = _Reader(process.stdout, on_output), _Reader(process.stderr, on_error)
            interrupted = self._watch(process)
            result = CommandResult(stdout=out.text(), stderr=err.text(), code=process.returncode)
        if interrupted:
            raise Interrupted
        if result.code != 0:
            raise create_command_error(result)
        return result

    def _watch(self, process: subprocess.Popen[str]) -> bool:
        """Wait for the end; True when it was us who asked for it."""
        try:
            while process.poll() is None and not self._stop.is_set():
                self._tick()
                _wait(process, LOOK_EVERY_S)
        except KeyboardInterrupt:
            self._stop.set()
        if process.poll() is not None and not self._stop.is_set():
            self._tick()
            return False
        self._wind_down(process)
        return True

    def _wind_down(self, process: subprocess.Popen[str]) -> None:
        """Ask to finish, then insist, then end it; impatience (a second Ctrl-C) goes on to the next step."""
        self._on_interrupt()
        for number, patience_s in (
            (signal.SIGINT, WIND_DOWN_S),
            (signal.SIGINT, 10.0),
            (signal.SIGKILL, 10.0),
        ):
            if process.poll() is not None:
                return
            process.send_signal(number)
            try:
                _wait(process, patience_s)
            except KeyboardInterrupt:
                continue


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what a user's own Pulumi set-up would bring in."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    return {**ours, "PULUMI_AUTOMATION_API": "true", "PULUMI_SKIP_UPDATE_CHECK": "true", **more}


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


class _Reader:
    """Collects one stream of the process, line by line, in a thread."""

    def __init__(self, stream: IO[str] | None, on_line: OnOutput | None) -> None:
        assert stream is not None
        self._lines: list[str] = []
        self._stream, self._on_line = stream, on_line
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self._lines.append(line.rstrip())
            if self._on_line:
                self._on_line(line.rstrip())

    def text(self) -> str:
        # A plugin that outlives the CLI for a moment may still hold the pipe.
        self._thread.join(5)
        return "\n".join(self._lines)
