"""Gives a shell's slot its port: one that no slot of the host has, by a constraint of the database."""

from __future__ import annotations

import hashlib

from sqlmodel import Session, col, select

from controller.models import Slot
from controller.services.deps import Deps


def give(deps: Deps, db: Session, slot: Slot) -> None:
    """Write a free port into a new slot; the caller holds the placement lock.

    The search begins where the slot's id says: a port that just became free is rarely given again at once,
    and a start that found another program on its port gets another one next time.
    """
    limits = deps.settings.ssh
    size = limits.port_to - limits.port_from + 1
    used = set(
        db.exec(
            select(Slot.ssh_port).where(
                Slot.host == slot.host, Slot.state != "gone", col(Slot.ssh_port).is_not(None)
            )
        )
    )
    first = int(hashlib.sha256(slot.id.encode()).hexdigest(), 16) % size
    ports = (limits.port_from + (first + step) % size for step in range(size))
    slot.ssh_port = next(port for port in ports if port not in used)
    db.add(slot)
    db.flush()
