"""Where a start's time went: in the session's record, over the last starts, and for monitoring."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import WALLET, Platform, make_platform

from controller.services import metrics
from controller.services.pool import fill as pool_fill
from controller.services.queue import claims
from controller.services.sessions import admin as session_admin
from controller.services.sessions import ends, start_times

pytestmark = pytest.mark.integration


@pytest.fixture
def platform(database: Any) -> Platform:
    made = make_platform(database, pool={"small": 1})
    made.add_host()
    made.credit(WALLET, 60)
    return made


def start_of(platform: Platform, session: str) -> dict[str, Any]:
    runs = session_admin.story(platform.deps, session).runs
    return next(run for run in runs if run["playbook"] == "session_start.yml")


def test_a_sessions_record_tells_every_stage(platform: Platform) -> None:
    session = claims.claim(platform.deps, WALLET, "small")
    platform.clock.advance(40)
    platform.work()
    start = start_of(platform, session.id)
    assert start["start"] == "cold"
    assert start["stages"]["take_ms"] == 40
    assert start["stages"]["total_ms"] == 40 + platform.provisioner.start_ms
    assert {"playbook_on_start", "runner_on_ok"} <= set(start["events"])


def test_a_failed_start_has_no_stages(platform: Platform) -> None:
    platform.provisioner.fail_starts.append({"code": "gpu_busy", "retry": "stop"})
    session = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    assert "stages" not in start_of(platform, session.id)


def test_the_last_starts_by_kind_and_for_monitoring(platform: Platform) -> None:
    assert start_times.last_starts(platform.deps) == []
    for _ in range(3):
        session = claims.claim(platform.deps, WALLET, "small")
        platform.work()
        ends.end(platform.deps, WALLET, session.id)
        platform.work()
    total = [line for line in start_times.last_starts(platform.deps) if line.stage == "total_ms"]
    assert [(line.kind, line.starts, line.p50_ms) for line in total] == [("cold", 3, 3_000)]
    pool_fill.fill(platform.deps)
    text = metrics.text(platform.deps)
    assert 'axonos_pool_desktops{profile="small",state="filling"} 1' in text
    assert 'axonos_starts{kind="cold"} 3' in text
    assert 'axonos_start_stage_ms{kind="cold",stage="total",quantile="0.5"} 3000' in text
