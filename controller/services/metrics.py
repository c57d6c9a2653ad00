"""Figures for the operator's monitoring, in the text form that Prometheus reads."""

from __future__ import annotations

from collections import Counter

from controller.services.deps import Deps
from controller.services.pool import waiting as pool
from controller.services.queue import promises as queue_promises
from controller.services.queue.promises import PromiseCount
from controller.services.sessions import admin as session_admin
from controller.services.sessions import start_times

LAST_STARTS = 200


def text(deps: Deps) -> str:
    """All figures: live sessions by kind and state, the pool, and the stages of the last starts."""
    with deps.database.begin() as db:
        waiting = pool.list_waiting(db)
        promises = queue_promises.counted(db)
        live = session_admin.live_by_kind(db)
    lines = ["# TYPE axonos_sessions gauge"]
    for (kind, state), number in sorted(live.items()):
        lines.append(f'axonos_sessions{{kind="{kind}",state="{state}"}} {number}')
    lines += ["# TYPE axonos_pool_desktops gauge"]
    count = Counter((one.profile, one.state) for one in waiting)
    for (profile, state), number in sorted(count.items()):
        lines.append(f'axonos_pool_desktops{{profile="{profile}",state="{state}"}} {number}')
    lines += ["# TYPE axonos_pool_memory_mib gauge"]
    lines += [f"axonos_pool_memory_mib {sum(one.memory_mib or 0 for one in waiting)}"]
    lines += _promises(promises)
    lines += ["# TYPE axonos_start_stage_ms gauge", "# TYPE axonos_starts gauge"]
    for line in start_times.last_starts(deps, LAST_STARTS):
        labels = f'kind="{line.kind}",stage="{line.stage.removesuffix("_ms")}"'
        lines.append(f'axonos_start_stage_ms{{{labels},quantile="0.5"}} {line.p50_ms}')
        lines.append(f'axonos_start_stage_ms{{{labels},quantile="0.95"}} {line.p95_ms}')
        if line.stage == "total_ms":  # every start has one
            lines.append(f'axonos_starts{{kind="{line.kind}"}} {line.starts}')
    return "\n".join(lines) + "\n"


def _promises(found: PromiseCount) -> list[str]:
    """Given, kept, missed; those broken by a cause outside stand apart, by cause."""
    lines = ["# TYPE axonos_promises_total counter"]
    lines += [
        f'axonos_promises_total{{outcome="{outcome}"}} {number}'
        for outcome, number in (("given", found.given), ("kept", found.kept), ("missed", found.missed))
    ]
    lines.append("# TYPE axonos_promises_broken_total counter")
    lines += [
        f'axonos_promises_broken_total{{cause="{cause}"}} {number}'
        for cause, number in found.broken_by_cause.items()
    ]
    return lines
