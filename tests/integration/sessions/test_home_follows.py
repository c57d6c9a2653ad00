"""A session may start on any host: its home is brought there first, and is never anywhere else as well."""

from __future__ import annotations

from typing import Any

import pytest
from session_kit import WALLET, Platform, make_platform

from controller.services.queue import claims
from controller.services.sessions import ends

BROKEN = {"code": "home_broken_off", "message": "cut", "retry": "here"}
REFUSED = {"code": "host_unreachable", "message": "no answer", "retry": "elsewhere"}


@pytest.fixture
def platform(database: Any) -> Platform:
    """Two hosts of one GPU."""
    made = make_platform(database)
    for name in ("one", "two"):
        made.add_host(name, 1)
    made.credit(WALLET, 600)
    return made


def home(platform: Platform) -> tuple[Any, ...]:
    (row,) = platform.rows("SELECT host, generation, base FROM home WHERE wallet = :w", w=WALLET)
    return tuple(row)


def session(platform: Platform) -> str:
    """A session from claim to running; its id."""
    claimed = claims.claim(platform.deps, WALLET, "small")
    platform.work()
    return claimed.id


def leave(platform: Platform, session_id: str) -> None:
    ends.end(platform.deps, WALLET, session_id)
    platform.work()


def use_only(platform: Platform, host: str) -> None:
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql(
            "UPDATE host SET state = CASE WHEN name = %s THEN 'ready' ELSE 'draining' END", (host,)
        )


def where(platform: Platform) -> list[tuple[Any, ...]]:
    """Hosts on which a desktop with the wallet's home was started, with generation and what it was opened from."""
    return [
        (request["gpus"][0].split("-")[1], request["home_generation"], request["home_base"])
        for playbook, request in platform.provisioner.requests
        if playbook == "session_start.yml" and "home_generation" in request
    ]


def test_a_replica_is_kept_and_a_start_elsewhere_brings_the_home_first(platform: Platform) -> None:
    use_only(platform, "one")
    first = session(platform)
    assert home(platform) == ("one", 0, "")
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql("UPDATE host SET state = 'ready'")
    leave(platform, first)
    assert [(a, b, r["close"]) for a, b, r in platform.provisioner.moves] == [("one", "two", False)]

    use_only(platform, "two")
    second = session(platform)
    assert [(a, b, r["name"], r["close"]) for a, b, r in platform.provisioner.moves[1:]] == [
        ("one", "two", "g1", True)
    ]
    assert home(platform) == ("two", 1, "g1")
    assert where(platform)[-1] == ("two", 1, "g1")
    order = [
        r.playbook
        for r in platform.rows("SELECT playbook FROM run WHERE session_id = :s ORDER BY id", s=second)
    ]
    assert order == ["home_move.yml", "session_start.yml"]


def test_a_cut_is_mended_and_the_start_follows(platform: Platform) -> None:
    use_only(platform, "one")
    leave(platform, session(platform))
    use_only(platform, "two")
    platform.provisioner.fail_moves = [BROKEN, BROKEN]
    claimed = claims.claim(platform.deps, WALLET, "small").id
    for _ in range(4):
        platform.work()
        platform.clock.advance(5_000)
    (row,) = platform.rows("SELECT state FROM gpu_session WHERE id = :s", s=claimed)
    assert row.state == "running"
    assert home(platform) == ("two", 1, "g1")


def test_a_home_that_cannot_be_brought_stays_and_its_host_gets_a_later_generation(platform: Platform) -> None:
    use_only(platform, "one")
    leave(platform, session(platform))
    use_only(platform, "two")
    platform.provisioner.fail_moves = [REFUSED]
    claimed = claims.claim(platform.deps, WALLET, "small").id
    platform.work()
    assert home(platform) == ("one", 2, "")
    (row,) = platform.rows("SELECT state, why FROM gpu_session WHERE id = :s", s=claimed)
    assert row.state == "queued"
    assert "another start follows" in row.why
    starts = len(where(platform))

    use_only(platform, "one")
    platform.clock.advance(30_000)
    platform.work()
    assert where(platform)[starts:] == [("one", 2, "")]
    assert platform.gpus()["leased"] == 1


def test_leaving_while_the_home_is_on_its_way_starts_nothing(platform: Platform) -> None:
    use_only(platform, "one")
    leave(platform, session(platform))
    use_only(platform, "two")
    platform.provisioner.fail_moves = [BROKEN]
    claimed = claims.claim(platform.deps, WALLET, "small").id
    platform.work()
    starts = len(where(platform))
    leave(platform, claimed)
    platform.clock.advance(60_000)
    platform.work()
    assert len(where(platform)) == starts
    assert platform.gpus() == {"free": 2}
    use_only(platform, "one")
    session(platform)
    assert home(platform)[0] == "one"
    assert where(platform)[-1][0] == "one"


def test_an_outcome_of_a_worker_that_lost_its_lease_moves_nothing(platform: Platform) -> None:
    use_only(platform, "one")
    leave(platform, session(platform))
    use_only(platform, "two")
    platform.provisioner.fail_moves = [REFUSED]
    claims.claim(platform.deps, WALLET, "small")
    platform.work()
    with platform.deps.database.begin() as db:
        db.connection().exec_driver_sql("UPDATE home SET generation = 9")
    platform.clock.advance(30_000)
    platform.work()
    assert home(platform)[:2] == ("two", 10)
    assert [r["generation"] for _, _, r in platform.provisioner.moves if r["close"]] == [1, 10]
