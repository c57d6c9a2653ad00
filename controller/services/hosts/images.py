"""Desktop images on hosts: brought there by recorded runs, made the one that new sessions boot, taken back.

A host boots the image it was given last; one that was given none, that of the settings. Sessions that run
keep the image they were started from. A roll-out goes host by host and stops at the first that refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from controller.errors import BadInput, WrongState
from controller.models import Host, Run
from controller.services import alerts, locks
from controller.services.deps import Deps
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs
from controller.settings import Settings

PUSH = "image_push.yml"
STOPPED = "image-roll-stopped"
MAX_ATTEMPTS = 3
_IN_WORK = ("queued", "running")


@dataclass(frozen=True)
class Archive:
    """A signed image as files of this machine that the worker can read."""

    image_id: str
    archive: str
    signature: str


@dataclass(frozen=True)
class OnHost:
    """Which image a host boots, which it booted before, and how its last push went."""

    host: str
    image_id: str
    previous_image_id: str | None
    push: str | None
    pushed_image_id: str | None
    error: str | None


def current(settings: Settings, host: Host) -> str:
    """The image that new sessions of a host boot."""
    return host.image_id or settings.sessions.image_id


def host_image(db: Session, settings: Settings, name: str) -> str:
    """The image that new sessions of the host of this name boot."""
    return current(settings, db.exec(select(Host).where(Host.name == name)).one())


def bring(deps: Deps, archive: Archive, hosts: Sequence[str] = (), *, activate: bool) -> list[str]:
    """Queue the way of an image to hosts, one after the other.

    Args:
        deps: ports.
        archive: the image.
        hosts: names; all that are in use without any.
        activate: each host boots it from then on.

    Returns:
        the hosts, in the order in which they get it.

    Raises:
        BadInput: an unknown host, or there is none.
        WrongState: another image is on its way.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        if db.exec(select(Run.id).where(Run.playbook == PUSH, col(Run.state).in_(_IN_WORK))).first():
            raise WrongState("Another image is on its way to the hosts. Wait until it is there.")
        names = db.exec(
            select(Host.name).where(col(Host.state).in_(("ready", "draining"))).order_by(col(Host.name))
        ).all()
        chosen = [name for name in names if not hosts or name in hosts]
        if missing := sorted(set(hosts) - set(names)):
            raise BadInput(f"No host in use is named {', '.join(missing)}.", field="host")
        if not chosen:
            raise BadInput("There is no host in use.", field="host")
        asked = {"image_id": archive.image_id, "archive": archive.archive, "signature": archive.signature}
        enqueue(db, chosen, asked | {"activate": activate}, deps.clock.now_ms())
        return chosen


def roll_back(deps: Deps) -> list[OnHost]:
    """Every host boots again what it booted before its last change; sessions that run are left alone.

    Raises:
        WrongState: no host was given another image.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        changed = db.exec(select(Host).where(col(Host.previous_image_id).is_not(None))).all()
        if not changed:
            raise WrongState("No host boots another image than before.")
        for host in changed:
            host.image_id, host.previous_image_id = host.previous_image_id, current(deps.settings, host)
            db.add(host)
        db.flush()
        return _standings(db, deps.settings)


def last_push(db: Session, name: str) -> Run | None:
    """The newest run that brought, or is to bring, an image to a host."""
    return db.exec(
        select(Run).where(Run.playbook == PUSH, Run.host == name).order_by(col(Run.id).desc())
    ).first()


def standings(deps: Deps) -> list[OnHost]:
    """Every host's image, by name."""
    with deps.database.begin() as db:
        return _standings(db, deps.settings)


def request(db: Session, run_id: int) -> dict[str, Any]:
    """What the playbook of one push is asked."""
    run = db.exec(select(Run).where(Run.id == run_id)).one()
    return {key: run.input[key] for key in ("image_id", "archive", "signature")}


def finish(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """The image is there, and the next host follows; or it is tried again; or the roll-out stops here."""
    with deps.database.begin() as db:
        locks.placement(db)
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        runs.note_way(run, taken, outcome, now)
        error = outcome.error_code or outcome.result.get("code") or "run_failed"
        if outcome.succeeded and outcome.result.get("ok"):
            runs.settle_run(run, "succeeded", now, outcome.result, None)
            _arrived(db, deps.settings, run, now)
        elif run.attempts < MAX_ATTEMPTS and error not in ("image_unverified", "image_missing"):
            runs.again(run, now, runs.backoff_ms(run.attempts), outcome.result, error)
        else:
            runs.settle_run(run, "failed", now, outcome.result, error)
            why = f"{run.host}: {error}"
            alerts.raise_alert(db, STOPPED, run.input["image_id"], why, now)
        db.add(run)
    return True


def _arrived(db: Session, settings: Settings, run: Run, now_ms: int) -> None:
    host = db.exec(select(Host).where(Host.name == run.host).with_for_update(key_share=True)).one()
    if run.input["activate"] and current(settings, host) != run.input["image_id"]:
        host.previous_image_id = current(settings, host)
        host.image_id = run.input["image_id"]
        db.add(host)
    if run.input.get("admit") and host.drain:
        host.drain, host.state = False, "ready" if host.state == "draining" else host.state
        db.add(host)
    alerts.clear_alert(db, STOPPED, run.input["image_id"], now_ms)
    if run.input["then"]:
        asked = {key: value for key, value in run.input.items() if key != "then"}
        enqueue(db, run.input["then"], asked, now_ms)


def enqueue(db: Session, hosts: Sequence[str], asked: dict[str, Any], now_ms: int) -> None:
    """Queue the push to the first of the hosts; each one's end queues the next."""
    first, *then = hosts
    db.add(Run(playbook=PUSH, host=first, state="queued", input=asked | {"then": then}, created_at_ms=now_ms))
    db.flush()


def _standings(db: Session, settings: Settings) -> list[OnHost]:
    found = []
    for host in db.exec(select(Host).where(Host.state != "removed").order_by(col(Host.name))).all():
        push = last_push(db, host.name)
        last = (push.state, push.input["image_id"], push.error_code) if push else (None, None, None)
        found.append(OnHost(host.name, current(settings, host), host.previous_image_id, *last))
    return found
