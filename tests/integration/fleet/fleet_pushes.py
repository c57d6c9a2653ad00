"""How the pushes of an image to the fleet went."""

from __future__ import annotations

from typing import Any

from fleet_kit import wait_for


def pushes(fleet: Any) -> list[Any]:
    """The two newest pushes once nothing of them is left to do, the newest first. All went well at once."""
    wait_for(lambda: (fleet.platform.work(), pushes_in_work(fleet))[1] == 0, "the pushes' ends")
    rows = fleet.platform.rows(
        "SELECT host, state, attempts, result, error_code, (result ->> 'bytes_sent')::bigint AS bytes_sent"
        " FROM run WHERE playbook = 'image_push.yml' ORDER BY id DESC LIMIT 2"
    )
    assert [(row.state, row.attempts) for row in rows] == [("succeeded", 1)] * 2, failures(fleet)
    return rows


def failures(fleet: Any) -> list[Any]:
    """What the pushes that did not go well said, the newest first."""
    return fleet.platform.rows(
        "SELECT run.id, host, attempts, attempt, data -> 'res' -> 'axonos' AS said"
        " FROM run LEFT JOIN run_event ON run_id = run.id AND event = 'runner_on_failed'"
        " WHERE playbook = 'image_push.yml' ORDER BY run.id DESC, attempt DESC LIMIT 6"
    )


def pushes_in_work(fleet: Any) -> int:
    (row,) = fleet.platform.rows(
        "SELECT count(*) AS n FROM run WHERE playbook = 'image_push.yml' AND state IN ('queued', 'running')"
    )
    return int(row.n)
