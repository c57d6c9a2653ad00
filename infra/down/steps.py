"""The steps of `axonos down` and of `--purge`, in their order. Each may be repeated."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

from infra import engine
from infra.docker_engine import docker_answers
from infra.down.leftovers import (
    mounted_below,
    remove_containers,
    remove_docker_objects,
    remove_packet_filter,
    unmount_below,
)
from infra.down.sessions import end_sessions
from infra.errors import InfraError
from infra.faults import Fault
from infra.instance import Instance
from infra.playing import play
from infra.pulumi_cli import ensure_cli
from infra.reporting import Report
from infra.stack_config import saved_config


@dataclass
class Done:
    """What was stopped and removed, for the closing words."""

    sessions_ended: int = 0
    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def stop(instance: Instance, report: Report) -> Done:
    """End sessions, stop services, unmount: nothing of the instance runs afterwards."""
    done = Done(sessions_ended=end_sessions(instance, report))
    done.stopped += play(instance, "quiet", report)  # else desktops that wait for nobody yet come back
    done.removed += remove_containers(instance)
    done.stopped += play(instance, "down", report)
    for kind in ("slots", "homes"):
        unmount_below(instance.run / kind)
    for lease in (instance.run / "leases").glob("*.json"):
        lease.unlink(missing_ok=True)
    return done


def purge(instance: Instance, report: Report) -> Done:
    """Stop, and remove everything the instance made. Packages stay installed."""
    sessions_ended = end_sessions(instance, report)
    if not docker_answers() and shutil.which("dockerd"):
        play(instance, "docker", report)
    play(instance, "quiet", report)
    removed = _destroy_stack(instance, report)
    if docker_answers():
        removed += remove_docker_objects(instance)
    done = stop(instance, report)
    done.sessions_ended += sessions_ended
    if remove_packet_filter(instance):
        removed.append("packet filter rules")
    removed += unmount_below(instance.run) + unmount_below(instance.state)
    if left := mounted_below(instance.state):  # homes that other hosts use lie there, perhaps
        raise Fault(
            f"{left[0]} is still mounted: nothing below it is removed.", "Unmount it, and run it again."
        )
    removed += play(instance, "purge", report)
    report(f"removing {instance.state}")
    shutil.rmtree(instance.state)  # last: this program itself runs from there
    done.removed = [*removed, str(instance.state)]
    return done


def _destroy_stack(instance: Instance, report: Report) -> list[str]:
    """Let Pulumi remove what it made; what it does not know any more is found by label afterwards."""
    try:
        config = saved_config(instance.state)
        cli = ensure_cli(instance.state / "tools", report)
        summary = engine.destroy(config, cli=cli, report=report)
    except InfraError as error:
        report(f"Pulumi removed nothing: {error.message.splitlines()[0]}")
        return []
    return [f"{change.kind} {change.name}" for change in summary.changed]
