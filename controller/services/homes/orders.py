"""Orders about homes as recorded runs: one at a time for a home, with what follows from each.

An order that must have the home for itself puts its row into a state in which nothing starts or moves. It
comes to an end either way: what was asked for, or the state before.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from controller.domain.lifecycle import LIVE
from controller.errors import HomeNotReady, NoHome, WrongState
from controller.models import Home, HomeEvent, HomeSnapshot, Host, Run
from controller.services import alerts
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.homes import storage_bills
from controller.services.ports import RunOutcome
from controller.services.runs import orders as runs

ORDER = "home_change.yml"
MAX_ATTEMPTS = 5
PLATFORM = "platform"
ALERT = "home-order-fails"
# the state while it is carried out, and the one after it; others leave a home as it is
STATES = {
    "restore": ("restoring", "live"),
    "prune": ("pruning", "pruned"),
    "recover": ("recovering", "live"),
    "delete": ("deleting", "gone"),
}


def locked(db: Session, wallet: str) -> Home:
    """The wallet's home, locked. Raises NoHome where it has none."""
    query = select(Home).where(Home.wallet == wallet).with_for_update(key_share=True)
    home = db.exec(query.execution_options(populate_existing=True)).first()
    if home is None or home.state == "gone":
        raise NoHome
    return home


def give(db: Session, home: Home, what: str, now_ms: int, actor: str, **more: str) -> None:
    """Write the intent of an order about a locked home.

    Args:
        db: open transaction that holds the home.
        home: in a state in which this makes sense; the caller knows.
        what: as the host program has it.
        now_ms: server clock.
        actor: who wants it: the owner's wallet, `platform`, or an operator.
        more: `name` and `keep`, snapshots; `why`.

    Raises:
        HomeNotReady: another order, or a move, is under way.
        WrongState: the order needs the home for itself, and a session of the wallet is live.
    """
    if is_busy(db, home):
        raise HomeNotReady
    if what in STATES and storage_bills.has_live_session(db, home.wallet, sorted(LIVE)):
        raise WrongState("End your session first.", state=home.state)
    asked = {"what": what, "before": home.state, "actor": actor, **more}
    if what in STATES:
        home.state = STATES[what][0]
    hosts = _everywhere(db, home) if what == "delete" else [_host(db, home, what, more)]
    for host in hosts:
        _enqueue(db, home, host, asked, now_ms)


def restore_from(db: Session, home: Home, source: str, now_ms: int, actor: str, **more: str) -> None:
    """Write the intent to return to a snapshot on another host: it is brought to the home's host first.

    Args:
        db: open transaction that holds the home.
        home: live.
        source: where the snapshot lies.
        now_ms: server clock.
        actor: who wants it.
        more: `name` and `keep`, as for the order `restore`.

    Raises:
        HomeNotReady, WrongState: as `give` does; WrongState also where that host does not answer.
    """
    if is_busy(db, home):
        raise HomeNotReady
    if storage_bills.has_live_session(db, home.wallet, sorted(LIVE)):
        raise WrongState("End your session first.", state=home.state)
    answering = select(Host.name).where(Host.name == source, col(Host.state).in_(("ready", "draining")))
    if db.exec(answering).first() is None:
        why = f"This snapshot lies on {source}, which does not answer; your files are on {home.host}."
        raise WrongState(why, state=home.state)
    then = {"what": "restore", "before": home.state, "actor": actor, **more}
    home.state = STATES["restore"][0]
    db.add(home)
    home_moves.fetch(db, home, source, now_ms, then)


def follow(db: Session, run: Run, now_ms: int) -> None:
    """What follows from a finished move: a snapshot that came is returned to, or its owner is told."""
    then = run.input.get("then")
    if then is None or run.state not in ("succeeded", "failed"):
        return
    home, name = locked_any(db, run.home or ""), str(then["name"])
    if run.state == "failed":
        home.state = str(then["before"])
        tell(db, home, "restore_failed", str(then["actor"]), now_ms, error=run.error_code)
        return
    snapshot = db.get(HomeSnapshot, (home.wallet, name))
    if snapshot is not None:
        snapshot.host = run.host
        db.add(snapshot)
    drop = {"what": "drop", "before": home.state, "actor": PLATFORM, "name": name}
    _enqueue(db, home, str(run.input["source"]), drop, now_ms)
    _enqueue(db, home, run.host, dict(then), now_ms)


def request(db: Session, run_id: int) -> dict[str, Any]:
    """What the playbook of one order is asked."""
    run = db.exec(select(Run).where(Run.id == run_id)).one()
    asked = {key: run.input.get(key, "") for key in ("what", "token", "generation", "base", "name", "keep")}
    return {"home": run.home, **asked}


def finish(deps: Deps, taken: runs.Taken, outcome: RunOutcome) -> bool:
    """Write an order's outcome and what follows from it; False for a stale worker."""
    with deps.database.begin() as db:
        run = runs.lock_taken(db, taken)
        if run is None:
            return False
        now = deps.clock.now_ms()
        runs.note_way(run, taken, outcome, now)
        if outcome.succeeded and outcome.result.get("ok"):
            runs.settle_run(run, "succeeded", now, outcome.result, None)
            _done(deps, db, run, now)
        else:
            _failed(db, run, outcome, now)
        db.add(run)
    return True


def tell(db: Session, home: Home, event: str, actor: str, now_ms: int, **detail: Any) -> None:
    """Write something down that the owner has to know."""
    db.add(HomeEvent(wallet=home.wallet, at_ms=now_ms, event=event, actor=actor, detail=detail))
    db.flush()


def under_way(db: Session, wallet: str) -> str | None:
    """Which order about the home is under way."""
    waiting = select(Run).where(
        Run.home == wallet, Run.playbook == ORDER, col(Run.state).in_(("queued", "running"))
    )
    run = db.exec(waiting.order_by(col(Run.id).desc()).limit(1)).first()
    return None if run is None else str(run.input["what"])


def is_busy(db: Session, home: Home) -> bool:
    """Whether an order about the home, or its move to another host, is under way."""
    waiting = select(Run).where(Run.home == home.wallet, col(Run.state).in_(("queued", "running")))
    return any(
        run.input.get("close") if run.playbook == home_moves.MOVE else run.host == home.host
        for run in db.exec(waiting)
    )


def is_moving(db: Session, home: Home) -> bool:
    """Whether the home is being given to another host."""
    waiting = select(Run).where(
        Run.home == home.wallet,
        Run.playbook == home_moves.MOVE,
        col(Run.state).in_(("queued", "running")),
    )
    return any(run.input.get("close") for run in db.exec(waiting))


def _host(db: Session, home: Home, what: str, more: dict[str, str]) -> str:
    """A snapshot is dropped where it lies; all else is done where the home is."""
    if what == "drop":
        query = select(HomeSnapshot.host).where(
            HomeSnapshot.wallet == home.wallet, HomeSnapshot.name == more["name"]
        )
        return str(db.exec(query).one())
    return home.host


def _everywhere(db: Session, home: Home) -> list[str]:
    """Every host on which something of the home may lie, its own first."""
    moved = select(Run).where(Run.home == home.wallet, Run.playbook == home_moves.MOVE)
    hosts = {host for run in db.exec(moved) for host in (run.host, run.input["source"])}
    hosts |= set(db.exec(select(HomeSnapshot.host).where(HomeSnapshot.wallet == home.wallet)))
    return [home.host, *sorted(hosts - {home.host})]


def _enqueue(db: Session, home: Home, host: str, asked: dict[str, Any], now_ms: int) -> None:
    home.fencing_token += 1
    said = {**asked, "token": home.fencing_token, "generation": home.generation, "base": home.base}
    run = Run(playbook=ORDER, host=host, home=home.wallet, state="queued", input=said, created_at_ms=now_ms)
    db.add_all([home, run])
    db.flush()


def _done(deps: Deps, db: Session, run: Run, now: int) -> None:
    home, asked = locked_any(db, run.home or ""), run.input
    what, actor = str(asked["what"]), str(asked["actor"])
    alerts.clear_alert(db, ALERT, f"{home.wallet} on {run.host}", now)
    if what == "drop" or (what == "delete" and run.host != home.host):
        _forget_snapshots(db, home, run.host, asked.get("name") or None)
        return
    if what == "snapshot":
        _keep(db, home, str(asked["name"]), str(asked.get("why", "")), now)
    elif what == "restore":
        _keep(db, home, str(asked["keep"]), f"before the return to {asked['name']}", now)
    elif what == "delete":
        _forget_snapshots(db, home, run.host, None)
    if what in STATES and home.state == STATES[what][0]:
        _settle(deps, db, home, what, now)
        home.state = STATES[what][1]
    db.add(home)
    told = {key: asked[key] for key in ("name", "keep") if asked.get(key)}
    tell(db, home, what, actor, now, **told, **({"bytes": home.bytes_used} if what == "prune" else {}))


def _settle(deps: Deps, db: Session, home: Home, what: str, now: int) -> None:
    """Storage is charged up to a home's going, and from its return on."""
    rules = deps.settings.storage
    if what in {"prune", "delete"} and home.pruned_at_ms is None:
        storage_bills.settle_all(deps, db, [(home, home.measured_at_ms)])
    if what == "prune":
        home.pruned_at_ms, home.recovery_until_ms = now, now + rules.recovery_days * 86_400_000
    else:
        home.pruned_at_ms = home.recovery_until_ms = None
    if what == "recover":
        home.measured_at_ms, home.warned_at_ms = now, None
        storage_bills.leave_free(db, home, now, "away", rules)
    if what == "delete":
        home.bytes_used, home.warned_at_ms = 0, None


def _failed(db: Session, run: Run, outcome: RunOutcome, now: int) -> None:
    answer = outcome.result
    error = outcome.error_code or answer.get("code") or "run_failed"
    if run.attempts < MAX_ATTEMPTS and answer.get("retry") != "stop":
        runs.again(run, now, runs.backoff_ms(run.attempts), answer, error)
        return
    runs.settle_run(run, "failed", now, answer, error)
    home, what = locked_any(db, run.home or ""), str(run.input["what"])
    if what in STATES and run.host == home.host and home.state == STATES[what][0]:
        home.state = str(run.input["before"])
        db.add(home)
    tell(db, home, f"{what}_failed", str(run.input["actor"]), now, error=error)
    if what in {"prune", "delete"}:
        where = f"{home.wallet} on {run.host}"
        alerts.raise_alert(db, ALERT, where, f"{what} of the home of {where}: {error}", now)


def locked_any(db: Session, wallet: str) -> Home:
    """A home's row, locked, in whatever state it is."""
    query = select(Home).where(Home.wallet == wallet).with_for_update(key_share=True)
    return db.exec(query.execution_options(populate_existing=True)).one()


def _keep(db: Session, home: Home, name: str, why: str, now: int) -> None:
    if db.get(HomeSnapshot, (home.wallet, name)) is None:
        db.add(HomeSnapshot(wallet=home.wallet, name=name, host=home.host, why=why[:200], created_at_ms=now))
        db.flush()


def _forget_snapshots(db: Session, home: Home, host: str, name: str | None) -> None:
    query = select(HomeSnapshot).where(HomeSnapshot.wallet == home.wallet, HomeSnapshot.host == host)
    for snapshot in db.exec(query):
        if name in {None, snapshot.name}:
            db.delete(snapshot)
    db.flush()
