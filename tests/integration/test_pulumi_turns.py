"""Two runs at once, Ctrl-C in the middle, a run killed outright: the next one always continues."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from pulumi_kit import SLOW, World, pulumi_cli, world

from infra import engine
from infra.stack_lock import owners

__all__ = ["pulumi_cli", "world"]
pytestmark = pytest.mark.integration

HELD = "Wait for the slow part"


def hold(world: World) -> None:
    """From now on the playbook waits in its last task."""
    if SLOW not in world.playbook.read_text():
        world.playbook.write_text(world.playbook.read_text() + SLOW)
    (world.out / "hold").touch()


def let_go(world: World) -> None:
    (world.out / "hold").unlink(missing_ok=True)


def until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read what the process tells until these words."""
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if words in line:
            return told
    raise AssertionError("".join(told))


def locks(world: World) -> list[object]:
    return list(owners(world.config().backend_dir, "axonos", "local"))


def test_ctrl_c_ends_the_playbook_and_the_next_run_continues(world: World) -> None:
    hold(world)
    run = world.start()
    until(run, HELD)
    run.send_signal(signal.SIGINT)
    until(run, "interrupted: finishing what was started")
    let_go(world)  # the task ends in its time; what happens to one that does not: test_orphans
    said, _ = run.communicate(timeout=180)
    assert run.returncode == 1
    assert "ERROR interrupted" in said
    assert locks(world) == []
    assert not children_of(world), "nothing runs on after the interruption"

    done = world.up()
    assert {(c.name, c.op) for c in done.changed} >= {("site-local", "create"), ("verification", "create")}


def test_the_second_of_two_runs_waits_for_the_first(world: World) -> None:
    hold(world)
    first = world.start()
    until(first, HELD)
    second = world.start()
    until(second, "waiting for process")
    let_go(world)
    said, _ = first.communicate(timeout=60)
    assert '"create": 6' in said
    said, _ = second.communicate(timeout=60)
    assert '"changes": {}' in said


def test_a_killed_run_leaves_a_lock_that_the_next_one_takes_away(world: World) -> None:
    hold(world)
    run = world.start()
    until(run, HELD)
    for pid in (run.pid, *pulumi_of(world)):
        os.kill(pid, signal.SIGKILL)
    run.communicate(timeout=30)
    assert locks(world)

    let_go(world)
    done = world.up()
    assert any("taking away the lock" in line for line in world.told)
    assert {"site-local", "verification"} <= {c.name for c in done.changed}
    assert engine.cancel(world.config(), cli=world.cli) is False


def pulumi_of(world: World) -> list[int]:
    """Process numbers of the CLI that works on this world's stack."""
    return [owner.pid for owner in owners(world.config().backend_dir, "axonos", "local")]


def children_of(world: World) -> list[str]:
    """Command lines of processes that still name this world's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(world.folder) in line and str(os.getpid()) != path.parent.name:
            found.append(line)
    return found
