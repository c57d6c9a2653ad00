"""A new host gets the image that the platform boots before it gets anybody: brought and checked there.

Registered as drained, it is taken into use by the end of its push. Until then nobody is placed on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from controller.errors import BadInput
from controller.models import Host, Run
from controller.services import locks
from controller.services.deps import Deps
from controller.services.hosts import images
from controller.services.hosts.images import Archive


def arriving(db: Session) -> list[str]:
    """Hosts that are not in use yet because their image is on its way, or did not come."""
    return [host.name for host, push in _drained(db) if push and push.state != "succeeded" and _admits(push)]


def check(deps: Deps, archive: Archive) -> None:
    """Refuse an image that no host boots: adding a host rolls nothing out.

    Raises:
        BadInput: that is so.
    """
    with deps.database.begin() as db:
        in_use = db.exec(select(Host).where(col(Host.state) != "removed")).all()
    booted = {images.current(deps.settings, host) for host in in_use} | {deps.settings.sessions.image_id}
    if archive.image_id not in booted:
        raise BadInput(
            f"The image that was built here last ({archive.image_id[:19]}…) is not the one that hosts boot;"
            " a new host would boot another than the rest. Roll it out first: `axonos image roll`.",
            field="output",
        )


def welcome(deps: Deps, archive: Archive, new: Sequence[str]) -> list[str]:
    """Bring the image to hosts that were just registered as drained, by a run for each. Safe to repeat.

    Args:
        deps: ports.
        archive: an image that hosts of the platform boot.
        new: the new hosts; those whose push failed before are tried again too.

    Returns:
        every host that waits for it.
    """
    asked = {"image_id": archive.image_id, "archive": archive.archive, "signature": archive.signature}
    with deps.database.begin() as db:
        locks.placement(db)
        for host, push in _drained(db):
            if host.name in new or (push and push.state == "failed" and _admits(push)):
                images.enqueue(
                    db, [host.name], asked | {"activate": True, "admit": True}, deps.clock.now_ms()
                )
        return arriving(db)


def _admits(push: Run) -> bool:
    return bool(push.input.get("admit"))


def _drained(db: Session) -> list[tuple[Host, Run | None]]:
    """Drained hosts reached by SSH, with their last push."""
    query = select(Host).where(Host.drain, Host.connection == "ssh", col(Host.state) != "removed")
    return [(host, images.last_push(db, host.name)) for host in db.exec(query.order_by(col(Host.name)))]
