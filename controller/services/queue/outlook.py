"""What a request of a size would get if it were made now. Reads and plans; writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.gpu_models import ANY
from controller.domain.placement import place
from controller.domain.planner import Decision, Waiting, plan
from controller.domain.profiles import PROFILES
from controller.errors import UnknownProfile
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.queue import free_gpus
from controller.services.queue import world as queue_world
from controller.services.queue.world import World

_NEW = "new"


@dataclass(frozen=True)
class Outlook:
    """`starts_now`, or when at the latest, and when by today's plan, a new claim of this profile would start.

    `offer_until_ms`: it could start now on GPUs that are promised to somebody else later, guaranteed until
    then; its owner has to accept that. All None under `first-fit`, which promises nothing.
    """

    profile: str
    gpu_model: str
    starts_now: bool
    latest_start_ms: int | None
    planned_start_ms: int | None
    offer_until_ms: int | None


def outlook(deps: Deps, wallet: str, profile: str, gpu_model: str = ANY) -> Outlook:
    """What this wallet's claim of a profile would be told, on hosts with that label or on any.

    Raises:
        UnknownProfile: no such profile.
    """
    wanted = PROFILES.get(profile)
    if wanted is None:
        raise UnknownProfile(profile=profile[:40])
    with deps.database.begin() as db:
        if deps.settings.queue.policy == "first-fit":
            fits = place(wanted.gpus, free_gpus.free_hosts(deps, db), gpu_model) is not None
            return Outlook(profile, gpu_model, fits, None, None, None)
        world = queue_world.read(deps, db, lock=False)
        balance = ledger.balance(db, wallet).available_gpu_ms
    length = queue_world.allowance(deps.settings).length(balance, wanted.gpus)
    decision = _imagine(deps, world, Waiting(_NEW, wanted.gpus, world.now, length, model=gpu_model))
    return _told(deps, profile, gpu_model, decision)


def _imagine(deps: Deps, world: World, claim: Waiting) -> Decision:
    sessions = (*world.sessions, *world.leaving)
    return plan(
        world.now,
        world.hosts,
        sessions,
        (*world.claims, claim),
        policy=queue_world.policy(deps.settings),
    )


def _told(deps: Deps, profile: str, gpu_model: str, decision: Decision) -> Outlook:
    if any(start.claim == _NEW for start in decision.starts):
        return Outlook(profile, gpu_model, True, None, None, None)
    latest, slot = decision.promises.get(_NEW), decision.slots.get(_NEW)
    hold_back = deps.settings.queue.hold_back_s * 1000
    return Outlook(
        profile,
        gpu_model,
        False,
        None if latest is None else latest + hold_back,
        slot.start if slot else None,
        decision.offers.get(_NEW),
    )
