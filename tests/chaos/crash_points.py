"""Where a crash can happen: the boundaries between the steps of create, claim, stop and delete, by process.

A point is the moment before or after one function of the program. Nothing in the program knows of them:
`crash_marked` wraps the functions in the bench's own processes. A name that no longer resolves fails there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """`nth` counts calls of one host program; `alone` holds a lock that would keep others from their points."""

    name: str
    process: str  # web, worker, guard or host
    target: str  # module:attribute
    when: str  # before or after
    op: str  # create, claim, fill, stop or delete
    nth: int = 1
    alone: bool = False


POINTS = (
    # create: the claim in web, the run in the worker, the steps on the host
    Point("claim-placed", "web", "controller.services.queue.placing:_start", "after", "create", alone=True),
    Point("claim-committed", "web", "controller.services.queue.claims:claim", "after", "create"),
    Point("start-taken", "worker", "controller.services.runs.orders:take", "after", "create"),
    Point("start-requested", "worker", "controller.services.runs.requests:request", "after", "create"),
    Point(
        "start-run", "worker", "controller.adapters.provisioner:AnsibleProvisioner.run", "before", "create"
    ),
    Point("start-ran", "worker", "controller.adapters.provisioner:AnsibleProvisioner.run", "after", "create"),
    Point("start-written", "worker", "controller.services.runs.outcomes:_started", "after", "create"),
    Point("start-finished", "worker", "controller.services.runs.outcomes:finish", "after", "create"),
    Point("host-asked", "host", "controller.host.start:start", "before", "create"),
    Point("lease-written", "host", "controller.host.start:_claim", "after", "create"),
    Point("walls-loaded", "host", "controller.host.firewall:load", "after", "create"),
    Point("network-made", "host", "controller.host.start:_network", "after", "create"),
    Point("home-made", "host", "controller.host.start:_home", "after", "create"),
    Point("folder-made", "host", "controller.host.folder:make", "after", "create"),
    Point("container-made", "host", "controller.host.start:_create", "after", "create"),
    Point("container-started", "host", "controller.host.start:_make", "after", "create"),
    Point("painted", "host", "controller.host.paint:wait_painted", "after", "create"),
    Point("start-answered", "host", "controller.host.start:start", "after", "create"),
    # claim: a desktop that waits becomes somebody's
    Point("claim-taken", "worker", "controller.services.runs.orders:take", "after", "claim"),
    Point("claim-ran", "worker", "controller.adapters.provisioner:AnsibleProvisioner.run", "after", "claim"),
    Point("claim-written", "worker", "controller.services.runs.outcomes:_started", "after", "claim"),
    Point("claim-leased", "host", "controller.host.start:_claim", "after", "claim"),
    Point("nobodys-home-gone", "host", "controller.host.warm:_umount", "after", "claim"),
    Point("home-given", "host", "controller.host.warm:give_home", "after", "claim"),
    Point("thawed", "host", "controller.host.warm:thaw", "after", "claim"),
    Point("claim-answered", "host", "controller.host.start:start", "after", "claim"),
    # fill: the pool makes a desktop that waits, for nobody yet
    Point("place-made", "host", "controller.host.warm:make_place", "after", "fill", alone=True),
    Point("frozen", "host", "controller.host.warm:freeze", "after", "fill", alone=True),
    Point("fill-written", "worker", "controller.services.pool.runs:finish", "after", "fill", alone=True),
    # stop: the click in web, the run in the worker, the container on the host
    Point("end-written", "web", "controller.services.sessions.ends:begin_end", "after", "stop", alone=True),
    Point("end-committed", "web", "controller.services.sessions.ends:end", "after", "stop"),
    Point("stop-taken", "worker", "controller.services.runs.orders:take", "after", "stop"),
    Point("stop-run", "worker", "controller.adapters.provisioner:AnsibleProvisioner.run", "before", "stop"),
    Point("stop-ran", "worker", "controller.adapters.provisioner:AnsibleProvisioner.run", "after", "stop"),
    Point("stop-written", "worker", "controller.services.runs.outcomes:_stopped", "after", "stop"),
    Point("stop-finished", "worker", "controller.services.runs.outcomes:finish", "after", "stop"),
    Point("stop-asked", "host", "controller.host.stop:stop", "before", "stop"),
    Point("container-ended", "host", "controller.host.stop:_end_container", "after", "stop"),
    # delete: what is left of a slot once its desktop has ended
    Point("container-removed", "host", "controller.host.stop:_remove", "after", "delete"),
    Point("network-removed", "host", "controller.host.stop:_remove", "after", "delete", nth=2),
    Point("folder-removed", "host", "controller.host.folder:remove", "after", "delete"),
    Point("lease-buried", "host", "controller.host.leases:Leases.bury", "after", "delete"),
    Point("gpus-checked", "host", "controller.host.gpus:check", "after", "delete"),
)
BY_NAME = {point.name: point for point in POINTS}
# Who can be killed where: `self` is the process that stands at the point.
EVERYWHERE = ("self", "web", "worker", "gateway", "guard", "postgres", "dockerd", "warm", "container")
ON_HOST = ("ansible", "disk-full", "engine-refuses", "image-missing", "slow", "silent")


def faults(point: Point) -> tuple[str, ...]:
    """The faults that make sense at a point."""
    if point.process != "host":
        return EVERYWHERE
    starts = point.op in ("create", "claim") and not point.name.endswith("-answered")
    extra = tuple(f for f in ON_HOST if f != "image-missing" or starts)
    return EVERYWHERE + extra
