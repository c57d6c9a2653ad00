"""The terminal ansible-runner reads a run through, without pexpect's pause after the end.

pexpect sleeps a tenth of a second when it closes a terminal, so that a program may notice. ansible-runner
closes it only after the program has ended: nothing is there to notice it, and every run would wait for it.
"""

from __future__ import annotations

from typing import Any

from ansible_runner.runner import pexpect


class _Terminal(pexpect.pty_spawn.ptyprocess.PtyProcess):  # type: ignore[misc] # has no types
    @property
    def delayafterclose(self) -> float:
        return 0.0

    @delayafterclose.setter
    def delayafterclose(self, _seconds: float) -> None:
        """Set by the constructor."""


def _spawnpty(_spawn: Any, args: list[str], **options: Any) -> Any:
    return _Terminal.spawn(args, **options)


def use_prompt_terminal() -> None:
    """From now on, for all of this process."""
    pexpect.spawn._spawnpty = _spawnpty  # noqa: SLF001 - the one place pexpect leaves for it
