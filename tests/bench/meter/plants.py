"""Faults planted in the product, each of which the oracle must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from sqlalchemy import text

from controller.domain import lifecycle, metering
from controller.services.money import metering as meter
from controller.services.sessions import expiry
from meter.world import World

Undo = Callable[[], None]


def _swapped(target: Any, name: str, other: Any) -> Undo:
    patched = patch.object(target, name, other)
    patched.start()
    return patched.stop


def wall_clock(world: World) -> Undo:
    """Time is the machine's wall clock, which people set."""

    class Wall:
        def now_ms(self) -> int:
            return world.wall_ms()

    real = world.new_process
    return _swapped(world, "new_process", lambda: replace(real(), clock=Wall()))


def one_too_few(_: World) -> Undo:
    """A window is charged a GPU-millisecond less than it holds."""
    return _swapped(
        metering.Window,
        "charge_gpu_ms",
        property(lambda w: max(1, (w.to_ms - w.from_ms) * w.gpus - 1) if w.kind == "used" else 0),
    )


def beacon_ignored(_: World) -> Undo:
    """Time after a close beacon that nobody took back is billed."""
    real = lifecycle.billable_until
    return _swapped(
        meter, "billable_until", lambda life, *rest: real(replace(life, closed_at_ms=None), *rest)
    )


def grace_at_the_look(_: World) -> Undo:
    """Grace begins when somebody looks, not when the balance was used up."""
    real = lifecycle.exhausted
    return _swapped(lifecycle, "exhausted", lambda life, at, grace: real(life, at + 60_000, grace))


def grace_for_ever(_: World) -> Undo:
    """Everybody gets grace again and again, without a deposit."""
    return _swapped(expiry.grace, "granted", lambda *_: True)


def gap_is_billed(_: World) -> Undo:
    """Time without proof of life is billed as if there had been some."""
    real = meter.proof_ms
    return _swapped(meter, "proof_ms", lambda db, row: real(db, row) + 30_000)


def tampered(world: World) -> Undo:
    """Somebody moves one window's end by a millisecond, past the program."""

    def change() -> None:
        with world.deps.database.begin() as db:
            db.connection().execute(
                text(
                    "UPDATE usage_window SET to_ms = to_ms - 1 WHERE id = (SELECT max(id) FROM usage_window)"
                )
            )

    return change


PLANTS = {
    plant.__name__: plant
    for plant in (
        wall_clock,
        one_too_few,
        beacon_ignored,
        grace_at_the_look,
        grace_for_ever,
        gap_is_billed,
        tampered,
    )
}
