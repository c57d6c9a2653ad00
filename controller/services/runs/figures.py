"""How the last runs went: warm or cold and why, and how long starts took. For the operator's eyes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session

RUNS = 1_000
_LATELY = text(
    """
    WITH lately AS (SELECT * FROM run WHERE state NOT IN ('queued', 'running') ORDER BY id DESC LIMIT :runs),
         starts AS (SELECT (timings ->> 'finished')::int - (timings ->> 'taken')::int AS ms FROM lately
                    WHERE playbook = 'session_start.yml' AND state = 'succeeded' AND timings ? 'finished')
    SELECT (SELECT count(*) FROM lately WHERE way = 'warm'),
           (SELECT count(*) FROM lately WHERE way = 'cold'),
           (SELECT way_why FROM lately WHERE way = 'cold' ORDER BY id DESC LIMIT 1),
           (SELECT count(*) FROM lately WHERE way = 'cold'
              AND id > (SELECT coalesce(max(id), 0) FROM lately WHERE way = 'warm')),
           (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ms) FROM starts),
           (SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY ms) FROM starts)
    """
)


@dataclass(frozen=True)
class RunFigures:
    """Of the last thousand runs. Start times are from taken to finished; None before the first start."""

    warm: int
    cold: int
    last_cold_why: str | None
    cold_in_a_row: int
    start_p50_ms: int | None
    start_p99_ms: int | None


def run_figures(db: Session) -> RunFigures:
    """Read them."""
    found = db.connection().execute(_LATELY, {"runs": RUNS}).one()
    return RunFigures(*found)
