"""Which waiting claims start now: the drained one first, then by arrival, on the fullest host that fits."""

from __future__ import annotations

from controller.domain.planner.planning import Planning
from controller.domain.planner.words import Reserved, Slot, Start, Waiting


def start_all(planning: Planning) -> None:
    """Start claims until none of them is planned for now."""
    again = True
    while again:
        started, most = False, planning.base.most_free()
        for claim in _in_turn(planning):
            if claim.gpus <= most and _start(planning, claim):
                started, most = True, planning.base.most_free()
        again = started and any(slot.start <= planning.now for slot in planning.slots.values())


def _in_turn(planning: Planning) -> list[Waiting]:
    claims = list(planning.waiting.values())
    return sorted(claims, key=lambda claim: claim is not planning.drained)


def _start(planning: Planning, claim: Waiting) -> bool:
    """Start a claim in its own place, in a hole of the plan, in a plan made anew, or bounded by a hole."""
    own = planning.slots.get(claim.id)
    hosts = _hosts_for(planning, claim) if own else []
    if not own or not hosts:
        return False
    slot = _hole(planning, claim, hosts)
    if slot is None and own.start <= planning.now and own.host in hosts:
        slot = own
    if slot is None and _make_room(planning, claim, hosts):
        slot = planning.slots[claim.id]
    if slot is None:
        slot = _bounded(planning, claim, hosts)
    if slot is None:
        return False
    if slot is not planning.slots[claim.id]:
        _move(planning, claim, slot)
    planning.begin(claim.id)
    bounded = slot.length < claim.length
    planning.decision.starts.append(Start(claim.id, slot.host, planning.now + slot.length, bounded))
    return True


def _hosts_for(planning: Planning, claim: Waiting) -> list[str]:
    """Hosts with enough free GPUs now: where a desktop of that size waits, then the fullest first."""
    others = planning.elsewhere(claim)
    free = (
        (claim.gpus not in planning.warm[host], planning.base.free_now(host), host)
        for host in planning.base.hosts
        if host not in claim.avoid and host not in others
    )
    return [host for _, count, host in sorted(free) if count >= claim.gpus]


def _move(planning: Planning, claim: Waiting, slot: Slot) -> None:
    own, turnaround = planning.slots[claim.id], planning.turnaround
    planning.full.give(own.host, own.start, own.length + turnaround, claim.gpus)
    planning.full.take(slot.host, slot.start, slot.length + turnaround, claim.gpus)
    planning.slots[claim.id] = slot


def _holes(planning: Planning, claim: Waiting, hosts: list[str]) -> list[tuple[int, str]]:
    """How long the claim could run on each host from now on without touching anybody else's place."""
    own, turnaround = planning.slots[claim.id], planning.turnaround
    planning.full.give(own.host, own.start, own.length + turnaround, claim.gpus)
    rooms = [
        (min(planning.full.room(host, planning.now, claim.gpus), planning.open_until(claim, host)), host)
        for host in hosts
    ]
    planning.full.take(own.host, own.start, own.length + turnaround, claim.gpus)
    return [(room - planning.now - turnaround, host) for room, host in rooms]


def _hole(planning: Planning, claim: Waiting, hosts: list[str]) -> Slot | None:
    for length, host in _holes(planning, claim, hosts):
        if length >= claim.length:
            return Slot(host, planning.now, claim.length)
    return None


def _make_room(planning: Planning, claim: Waiting, hosts: list[str]) -> bool:
    """Plan everybody else around a start now; the drained claim's place stays."""
    drained = planning.drained
    for host in hosts:
        if planning.tries <= 0:
            return False
        planning.tries -= 1
        kept = {drained.id: planning.slots[drained.id]} if drained and drained is not claim else {}
        kept[claim.id] = Slot(host, planning.now, claim.length)
        if planning.replan(planning.base, planning.by_promise(), kept):
            return True
    return False


def _bounded(planning: Planning, claim: Waiting, hosts: list[str]) -> Slot | None:
    """The longest hole, if it is worth offering and the claim accepts; else it is kept as an offer."""
    length, host = max(_holes(planning, claim, hosts))
    policy = planning.policy
    if length < max(policy.least_guarantee_ms, policy.least_guarantee_share * claim.length):
        return None
    if claim.accept_bounded and planning.now + length >= claim.accept_until:
        return Slot(host, planning.now, length)
    planning.decision.offers[claim.id] = planning.now + length
    return None


def explain(planning: Planning) -> None:
    """For every claim that waits beside enough free GPUs of a host: which claims they are kept for."""
    most = planning.base.most_free()
    for claim in planning.waiting.values():
        if claim.gpus <= most:
            beside = [
                host
                for host in planning.base.hosts
                if planning.base.free_now(host) >= claim.gpus
                and host not in claim.avoid
                and host not in planning.elsewhere(claim)
            ]
            planning.decision.reserved[claim.id] = tuple(_reserved(planning, claim, host) for host in beside)


def _reserved(planning: Planning, claim: Waiting, host: str) -> Reserved:
    """The claims whose places on a host keep others away before this one could be through there."""
    until = planning.now + claim.length + planning.turnaround
    others = tuple(
        other
        for other, slot in planning.slots.items()
        if other != claim.id
        and slot.host == host
        and planning.closes_at(planning.waiting[other], slot) < until
    )
    drained = planning.drained is not None and planning.drained.id in others
    return Reserved(host, "drain" if drained else "promised", others)
