"""What a module found to differ, named thing by thing, so that drift has names and not just a count."""

from __future__ import annotations

import subprocess
from typing import Any


class Differences:
    """Collects differences; `path` and `what` of each end up in the task's result and in its `--diff`."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.diff: list[dict[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self.results)

    def note(self, thing: str, what: str, before: str | None = None, after: str | None = None) -> None:
        """Name one thing that differs; texts only where they may be read by whoever reads logs."""
        self.results.append({"changed": True, "path": f"{thing}: {what}"})
        self.diff.append(
            {
                "before_header": thing,
                "after_header": thing,
                "before": before if before is not None else "",
                "after": after if after is not None else f"{what}\n",
            }
        )

    def result(self, **more: Any) -> dict[str, Any]:
        """What the module returns."""
        return {"changed": bool(self), "results": self.results, "diff": self.diff, **more}


class CommandFailed(Exception):
    """A program ended with an error; the text holds the end of its output."""


def run(argv: list[str], *, timeout_s: int = 120, check: bool = True, text: str | None = None) -> str:
    """Run a program and return its standard output.

    Raises:
        CommandFailed: it could not be run, failed (with `check`), or took longer than `timeout_s` seconds.
    """
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, input=text
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no program {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{argv[0]} did not end within {timeout_s} s") from error
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise CommandFailed(f"{' '.join(argv[:3])}: " + " / ".join(said))
    return done.stdout
