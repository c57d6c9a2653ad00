"""Homes follow their wallets: brought to another host before a start, copied to a second one afterwards.

Where all hosts share one file system they are there already, and only handed over (`shared`).

The home's row names the one host that may write to it, and its generation. A move gives the generation away
first (the source closes), then brings the files, and only its outcome names the new host: until then the
target has a snapshot and no right to it. A move that fails is given up by a generation that is later still.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from controller.errors import HomeNotReady, HomePutAway
from controller.models import Home, Host, Run
from controller.services.deps import Deps
from controller.services.homes import shared
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs

MOVE = "home_move.yml"
MAX_ATTEMPTS = 4
NEW = "new"  # as the host program has it: there is no home anywhere
PUT_AWAY = "put-away"  # the snapshot that a home is while it is put away


def settle_place(
    deps: Deps, db: Session, wallet: str, host: str, now_ms: int, *, slot: str, session: str
) -> None:
    """Have the wallet's home on the host of a start; a wallet without one gets it by that start.

    The caller writes the start's run afterwards; runs of a slot are done in order.
    """
    home = _locked(db, wallet)
    if home is not None and (home.state == "gone" or home.base == NEW):
        _begin_anew(db, home, host, now_ms)
    elif home is not None and home.host != host and deps.settings.storage.shared:
        shared.hand_over(db, home, host)
    elif home is not None and home.host != host:
        generation = home.generation + 1
        asked = {"source": home.host, "name": f"g{generation}", "generation": generation, "close": True}
        _enqueue(db, wallet, host, now_ms, asked, slot=slot, session=session)


def made(db: Session, wallet: str, host: str, now_ms: int) -> None:
    """A desktop is up: the wallet has a home, and this is where."""
    home = _locked(db, wallet)
    if home is not None and home.base == NEW:
        home.base = ""
        db.add(home)
    if home is None:
        db.add(
            Home(wallet=wallet, host=host, created_at_ms=now_ms, measured_at_ms=now_ms, billed_to_ms=now_ms)
        )
        db.flush()


def check_ready(db: Session, wallet: str) -> None:
    """Hold the wallet's home for a claim.

    Raises:
        HomePutAway: it was put away, or is being.
        HomeNotReady: an order about it is under way.
    """
    home = _locked(db, wallet)
    if home is not None and home.state in ("pruning", "pruned"):
        raise HomePutAway
    if home is not None and home.state not in ("live", "gone"):
        raise HomeNotReady


def _begin_anew(db: Session, home: Home, host: str, now_ms: int) -> None:
    """A deleted home's wallet starts again, with nothing: what still lies anywhere is never opened."""
    home.state, home.host, home.generation, home.base = "live", host, home.generation + 1, NEW
    home.bytes_used, home.measured_at_ms, home.warned_at_ms = 0, now_ms, None
    db.add(home)
    db.flush()


def replicate(db: Session, wallet: str, now_ms: int) -> None:
    """Intend a replica of a home that has just been left, where there is a second host for it."""
    home = _locked(db, wallet)
    target = _replica_host(db, home) if home else None
    if home is None or home.state != "live" or target is None:
        return
    waiting = select(Run.id).where(Run.home == wallet, Run.playbook == MOVE, Run.state == "queued")
    if db.exec(waiting).first() is None:
        asked = {
            "source": home.host,
            "name": f"r{now_ms}",
            "generation": max(1, home.generation),
            "close": False,
        }
        _enqueue(db, wallet, target, now_ms, asked)


def evacuate(db: Session, host: str, now_ms: int) -> int:
    """Intend to send every home of a host to another one, once each, also those that were put away.

    Homes about which an order is under way are left to the next call.

    Returns:
        how many were written down.
    """
    waiting = select(Run.home).where(Run.playbook == MOVE, col(Run.state).in_(("queued", "running")))
    whole = col(Home.state).in_(("live", "pruned"))
    here = select(Home).where(Home.host == host, whole, col(Home.wallet).not_in(waiting))
    sent = 0
    for home in db.exec(here.order_by(col(Home.wallet)).with_for_update(key_share=True)).all():
        target = _replica_host(db, home)
        if target is not None:
            settle = home.generation + 1
            name = f"{PUT_AWAY}-g{settle}" if home.state == "pruned" else f"g{settle}"
            asked = {"source": host, "name": name, "generation": settle, "close": True}
            _enqueue(db, home.wallet, target, now_ms, asked)
            sent += 1
    return sent


def fetch(db: Session, home: Home, source: str, now_ms: int, then: dict[str, str]) -> None:
    """Intend to bring an owner's snapshot to the host that has the home.

    Args:
        db: open transaction that holds the home.
        home: whose.
        source: where the snapshot lies.
        now_ms: server clock.
        then: its `name`, and what follows from its arrival (`orders`).
    """
    asked = {
        "source": source,
        "name": then["name"],
        "generation": max(1, home.generation),
        "close": False,
        "then": then,
    }
    _enqueue(db, home.wallet, home.host, now_ms, asked)


def adopt_replica(db: Session, wallet: str) -> bool:
    """The home's host is dead: its newest replica elsewhere is the home now. False where there is none.

    The generation is later than any that the dead host can know.
    """
    home = _locked(db, wallet)
    if home is None:
        return False
    moved = select(Run).where(Run.home == wallet, Run.playbook == MOVE, Run.state == "succeeded")
    alive = set(db.exec(select(Host.name).where(col(Host.state).in_(("ready", "draining")))))
    for run in db.exec(moved.order_by(col(Run.id).desc()).limit(8)):
        if "then" in run.input:  # a snapshot of some time, no replica
            continue
        for host in (run.host, run.input["source"]):
            if host in alive and host != home.host:
                home.host, home.generation, home.base = host, home.generation + 2, run.input["name"]
                db.add(home)
                db.flush()
                return True
    return False


def request(db: Session, run_id: int) -> dict[str, Any]:
    """What the playbook of one move is asked."""
    run = db.exec(select(Run).where(Run.id == run_id)).one()
    asked = {key: run.input[key] for key in ("name", "generation", "close")}
    return {"home": run.home, **asked}


def source(db: Session, run_id: int) -> dict[str, Any]:
    """How the host that has the home is reached."""
    run = db.exec(select(Run).where(Run.id == run_id)).one()
    return runs.host_facts(db, run.input["source"])


def start_fields(db: Session, wallet: str) -> dict[str, Any]:
    """For which generation a start opens the home, and from what."""
    home = db.get(Home, wallet)
    return {"home_generation": home.generation, "home_base": home.base} if home else {}


def arrived(db: Session, run: Run) -> bool:
    """The home's host is the run's from now on; False where somebody moved it on meanwhile."""
    home = _locked(db, run.home or "")
    if home is None or home.generation != run.input["generation"] - 1:
        return False
    home.host, home.generation, home.base = run.host, run.input["generation"], run.input["name"]
    db.add(home)
    db.flush()
    return True


def give_up(db: Session, run: Run) -> None:
    """The home stays where it is, for a generation later than the one its host may have closed it for."""
    home = _locked(db, run.home or "")
    if home is not None and home.generation == run.input["generation"] - 1:
        home.generation = run.input["generation"] + 1
        home.base = PUT_AWAY if home.state == "pruned" else ""
        db.add(home)
        db.flush()


def finish_alone(db: Session, run: Run, outcome: RunOutcome, now_ms: int) -> None:
    """A move for which nobody waits; tried again some times. Another session leaves another replica."""
    if outcome.succeeded and outcome.result.get("ok"):
        if run.input["close"]:
            arrived(db, run)
        runs.settle_run(run, "succeeded", now_ms, outcome.result, None)
        return
    error = outcome.error_code or outcome.result.get("code") or "run_failed"
    if run.attempts < MAX_ATTEMPTS and outcome.result.get("retry") != "stop":
        runs.again(run, now_ms, 10 * runs.backoff_ms(run.attempts), outcome.result, error)
    else:
        runs.settle_run(run, "failed", now_ms, outcome.result, error)
        if run.input["close"]:
            give_up(db, run)


def _replica_host(db: Session, home: Home) -> str | None:
    """Another ready host: the one with the newest replica, else the one with the fewest homes."""
    ready = db.exec(select(Host.name).where(Host.state == "ready", Host.name != home.host)).all()
    moved = select(Run).where(Run.home == home.wallet, Run.playbook == MOVE, Run.state == "succeeded")
    for run in db.exec(moved.order_by(col(Run.id).desc()).limit(8)):
        for host in (run.host, run.input["source"]):
            if host in ready:
                return str(host)
    homes = dict.fromkeys(sorted(ready), 0)
    for host in db.exec(select(Home.host).where(col(Home.host).in_(ready))):
        homes[host] += 1
    return min(homes, key=lambda host: homes[host], default=None)


def _enqueue(db: Session, wallet: str, host: str, now_ms: int, asked: dict[str, Any], **about: str) -> None:
    run = Run(playbook=MOVE, host=host, home=wallet, state="queued", input=asked, created_at_ms=now_ms)
    run.slot_id, run.session_id = about.get("slot"), about.get("session")
    db.add(run)
    db.flush()


def _locked(db: Session, wallet: str) -> Home | None:
    query = select(Home).where(Home.wallet == wallet).with_for_update(key_share=True)
    return db.exec(query.execution_options(populate_existing=True)).first()
