"""Claiming a session, and the profile picker that leads to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from controller.domain import lifecycle
from controller.domain.gpu_models import ANY, suits
from controller.domain.metering import minutes_left
from controller.domain.profiles import GPU_MS_PER_MINUTE, PROFILES, Profile
from controller.errors import (
    BadInput,
    NotEnoughCredit,
    SessionAlreadyLive,
    UnknownProfile,
    WrongState,
)
from controller.models import GpuSession, QueuePlace
from controller.services import locks
from controller.services.deps import Deps
from controller.services.homes import moves as home_moves
from controller.services.money import ledger
from controller.services.pool import waiting as pool
from controller.services.queue import free_gpus, gpu_choice, placing
from controller.services.queue import views as queue_views
from controller.services.sessions import idle, life
from controller.services.sessions.reads import view
from controller.services.sessions.views import ProfileView, SessionView
from controller.services.shells import keys as ssh_keys
from controller.settings import Settings

_LIVE_WALLET = "uq_gpu_session_live_wallet"


def profiles(deps: Deps, wallet: str | None, gpu_model: str = ANY) -> list[ProfileView]:
    """The profile picker, smallest first.

    Args:
        deps: ports.
        wallet: whose balance counts; None for a visitor who has not signed in.
        gpu_model: only hosts with that label count; one that no host has counts as any.
    """
    with deps.database.begin() as db:
        labels = free_gpus.labels(db)
        gpu_model = gpu_model if gpu_model in labels.values() else ANY
        largest = free_gpus.largest_host(db, gpu_model)
        available = None if wallet is None else ledger.balance(db, wallet).available_gpu_ms
        there = [found for host, found in pool.usable(deps, db).items() if suits(gpu_model, labels[host])]
        waiting = Counter(len(gpus) for found in there for gpus in found)
    views = [_profile_view(p, deps.settings, largest, available, gpu_model) for p in PROFILES.values()]
    return [replace(view, waiting=waiting[view.gpus]) for view in views]


def claim(
    deps: Deps,
    wallet: str,
    profile: str,
    *,
    fresh_start: bool = False,
    kind: str = "desktop",
    ssh_key: str | None = None,
    accept_bounded: bool = False,
    accept_until_ms: int | None = None,
    gpu_model: str = ANY,
    session_id: str | None = None,
) -> SessionView:
    """Claim a session: it starts at once, or takes a place in the queue.

    Args:
        deps: ports.
        wallet: signed in.
        profile: name of a profile.
        fresh_start: move old desktop settings in the home aside.
        kind: `desktop`, or `ssh` for a shell.
        ssh_key: for a shell, who may log in: a public key, or the id of one of the wallet's list; by default
            every key of the list.
        accept_bounded: it may start on GPUs that are promised to somebody else later; then it ends at its
            guarantee if they are still needed.
        accept_until_ms: the guarantee its owner was shown; a shorter one is not taken.
        gpu_model: only on hosts with that label; empty for any.
        session_id: the session's id where it was chosen before; a second claim with it changes nothing.

    Raises:
        BadInput: no such kind.
        BadSshKey, NotYours, SshKeyNeeded: the key is none, is not in the list, or the list is empty.
        UnknownProfile, UnknownGpuModel: no such profile; no host with that model.
        ProfileTooLarge: no host could ever hold it.
        SessionAlreadyLive: this wallet has one; `session_id` says which.
        NotEnoughCredit: the available balance does not cover the minimum.
        HomePutAway, HomeNotReady: the wallet's files are not there now.
    """
    wanted = PROFILES.get(profile)
    if wanted is None:
        raise UnknownProfile(profile=profile[:40])
    if kind not in ("desktop", "ssh"):
        raise BadInput("`kind` must be desktop or ssh.", field="kind")
    try:
        with deps.database.begin() as db:
            keys = ssh_keys.allowed(db, wallet, ssh_key) if kind == "ssh" else []
            locks.placement(db)
            if session_id is not None and (known := db.get(GpuSession, session_id)) is not None:
                return queue_views.told(db, known, view(db, known), deps.clock.now_ms())
            chosen = session_id or deps.new_id()
            row = _new_claim(
                deps, db, wallet, wanted, chosen, fresh_start=fresh_start, keys=keys, gpu_model=gpu_model
            )
            db.add(
                QueuePlace(session_id=row.id, accept_bounded=accept_bounded, accept_until_ms=accept_until_ms)
            )
            db.flush()
            placing.plan(deps, db)
            return queue_views.told(db, row, view(db, row), deps.clock.now_ms())
    except IntegrityError as error:
        if _LIVE_WALLET in str(error.orig):
            raise SessionAlreadyLive from error
        raise


def accept(deps: Deps, wallet: str, session_id: str, until_ms: int | None) -> SessionView:
    """A waiting claim takes a bounded start: on GPUs that are promised to somebody else later.

    Args:
        deps: ports.
        wallet: the owner.
        session_id: a queued claim.
        until_ms: the guarantee its owner was shown; a shorter one is not taken, and it goes on waiting.

    Raises:
        NotYours: no such session of this wallet.
        WrongState: it does not wait any more.
    """
    with deps.database.begin() as db:
        locks.placement(db)
        row = life.lock(db, session_id, wallet)
        if row.state != "queued":
            raise WrongState(state=row.state)
        place = db.get(QueuePlace, row.id) or QueuePlace(session_id=row.id)
        place.accept_bounded, place.accept_until_ms = True, until_ms
        db.add(place)
        db.flush()
        placing.plan(deps, db)
        return queue_views.told(db, row, view(db, row), deps.clock.now_ms())


def _new_claim(
    deps: Deps,
    db: Session,
    wallet: str,
    profile: Profile,
    session_id: str,
    *,
    fresh_start: bool,
    keys: list[str],
    gpu_model: str,
) -> GpuSession:
    check_live(db, wallet)
    home_moves.check_ready(db, wallet)
    gpu_choice.check(db, profile, gpu_model)
    now = deps.clock.now_ms()
    needed = profile.gpus * GPU_MS_PER_MINUTE * deps.settings.sessions.hold_minutes
    available = ledger.balance(db, wallet).available_gpu_ms
    if available < needed:
        raise NotEnoughCredit(needed_gpu_ms=needed, available_gpu_ms=available)
    row = GpuSession(
        id=session_id,
        wallet=wallet,
        kind="ssh" if keys else "desktop",
        ssh_keys="\n".join(keys),
        profile=profile.name,
        gpus=profile.gpus,
        state="queued",
        gpu_model=gpu_model,
        fresh_start=fresh_start,
        claimed_at_ms=now,
        idle_minutes=0 if keys else idle.of_wallet(db, wallet),
    )
    life.write(db, row, lifecycle.claimed(now, unwatched=bool(keys)))
    ledger.hold(db, wallet, row.id, needed, now)
    return row


def check_live(db: Session, wallet: str) -> None:
    """Raises SessionAlreadyLive where the wallet has a session that has not ended."""
    live = select(GpuSession.id).where(
        GpuSession.wallet == wallet, col(GpuSession.state).in_(sorted(lifecycle.LIVE))
    )
    if found := db.exec(live).first():
        raise SessionAlreadyLive(session_id=found)


def _profile_view(
    profile: Profile, settings: Settings, largest: int, available: int | None, gpu_model: str
) -> ProfileView:
    needed = profile.gpus * GPU_MS_PER_MINUTE * settings.sessions.hold_minutes
    why_not = ""
    if largest < profile.gpus:
        why_not = gpu_choice.too_large(profile, largest, gpu_model)
    elif available is not None and available < needed:
        why_not = NotEnoughCredit().message
    return ProfileView(
        name=profile.name,
        title=profile.title,
        gpus=profile.gpus,
        burn_rate=profile.gpus,
        good_for=profile.good_for,
        usd_per_hour_text=f"${settings.pricing.usd_per_gpu_hour * profile.gpus:.2f}",
        lasts_minutes=None if available is None else minutes_left(available, profile.gpus),
        possible=not why_not,
        why_not=why_not,
        waiting=0,
    )
