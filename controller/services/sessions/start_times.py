"""Stage timings of starts: of one session's, and of the last ones of the whole platform."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from controller.domain.stages import StartTimes, percentile, stages
from controller.models import GpuSession, Run
from controller.services.deps import Deps
from controller.services.runs.orders import START

KINDS = ("warm", "cold")


@dataclass(frozen=True)
class StageLine:
    """One stage over the last starts of a kind; `warm` starts took a desktop that waited."""

    kind: str
    stage: str
    starts: int
    p50_ms: int
    p95_ms: int


def of_run(row: GpuSession, run: Run) -> dict[str, int]:
    """The stages of a start that came through; empty for any other run.

    Kept where they were measured: instants in the rows of session and run, the host's own in its answer.
    """
    answer: dict[str, Any] = run.result or {}
    if run.playbook != START or run.state != "succeeded" or row.starting_at_ms is None:
        return {}
    taken_ms = max(run.created_at_ms, run.not_before_ms) + int(run.timings.get("taken", 0))
    host = {name: ms for name, ms in (answer.get("stages") or {}).items() if type(ms) is int}
    return stages(
        StartTimes(
            claimed_ms=row.claimed_at_ms,
            placed_ms=row.starting_at_ms,
            taken_ms=taken_ms,
            host_began_ms=int(answer.get("began_at_ms") or taken_ms),
            ready_ms=int(answer["ready_at_ms"]),
            told_ms=run.finished_at_ms or int(answer["ready_at_ms"]),
            host=host,
        )
    )


def kind_of(run: Run) -> str:
    """Whether a start took a desktop that waited, or made one."""
    return KINDS[0] if (run.result or {}).get("warm") else KINDS[1]


def last_starts(deps: Deps, limit: int = 200) -> list[StageLine]:
    """Median and 95th percentile of every stage over the last starts, warm and cold apart.

    Args:
        deps: ports.
        limit: how many starts, newest first.
    """
    with deps.database.begin() as db:
        return _lines(db, limit)


def _lines(db: Session, limit: int) -> list[StageLine]:
    query = (
        select(Run, GpuSession)
        .join(GpuSession, col(GpuSession.id) == col(Run.session_id))
        .where(Run.playbook == START, Run.state == "succeeded")
        .order_by(col(Run.id).desc())
        .limit(limit)
    )
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for run, row in db.exec(query).all():
        for stage, ms in of_run(row, run).items():
            found[kind_of(run), stage].append(ms)
    return [
        StageLine(kind, stage, len(values), percentile(values, 50), percentile(values, 95))
        for (kind, stage), values in found.items()
    ]
