"""A claim and a desktop that nobody watches: kept for a while, started detached, ended unopened, paid back once."""

from __future__ import annotations

import pytest
from session_kit import MINUTE, OTHER, WALLET, make_platform

from controller.auditor import run as auditor
from controller.domain.ledger import Posting
from controller.services.money import invariants, ledger
from controller.services.money.ledger import audit
from controller.services.sessions import expiry
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


def start(platform, wallet=WALLET, **words):
    sessions.claim(platform.deps, wallet, "medium", **words)
    platform.work()
    view = sessions.current(platform.deps, wallet)
    assert view.state == "running"
    return view.id


def unopened(platform, wallet=WALLET):
    """A desktop runs for five minutes while its page is open and its stream is not."""
    session = start(platform, wallet)
    for _ in range(5):
        platform.pass_time(MINUTE)
        sessions.heartbeat(platform.deps, wallet, session)
    expiry.expire(platform.deps)
    platform.work()
    return session


def reason_of(platform, session):
    ((state, reason),) = platform.rows("SELECT state, end_reason FROM gpu_session WHERE id = :i", i=session)
    return state, reason


def test_what_nobody_opens_ends_and_is_paid_back_once_a_day(platform):
    before = platform.balance()
    session = unopened(platform)
    said = "nobody opened it within 5 minutes; those minutes were returned"
    assert reason_of(platform, session) == ("ended", said)
    assert platform.balance() == before
    ((amount, debit, credit),) = platform.rows(
        """SELECT t.amount, d.code, c.code FROM transfer t JOIN account d ON d.id = t.debit_id
           JOIN account c ON c.id = t.credit_id WHERE t.kind = 'unopened'"""
    )
    assert (amount, debit, credit) == (2 * 5 * MINUTE, "used:compute", f"user:{WALLET}")
    assert sessions.saved(platform.deps, WALLET).reason == said

    again = unopened(platform)
    assert (
        reason_of(platform, again)[1] == "nobody opened it within 5 minutes; minutes are returned once a day"
    )
    assert platform.balance() == before - 2 * 5 * MINUTE
    platform.clock.advance(24 * 60 * MINUTE)
    unopened(platform)
    assert platform.balance() == before - 2 * 5 * MINUTE
    assert audit(platform.deps) == []
    assert invariants.check_due(platform.deps) == 1
    assert platform.rows("SELECT kind FROM operator_alert") == []


def test_another_wallet_has_a_day_of_its_own(platform):
    platform.credit(OTHER, 60)
    unopened(platform)
    unopened(platform, OTHER)
    assert platform.balance(OTHER) == 60 * MINUTE


@pytest.mark.parametrize("how", ["stream", "detach"])
def test_what_was_opened_goes_on(platform, how):
    session = start(platform)
    getattr(sessions, how)(platform.deps, WALLET, session)
    for _ in range(8):
        platform.pass_time(MINUTE)
        sessions.heartbeat(platform.deps, WALLET, session)
        expiry.expire(platform.deps)
    assert sessions.current(platform.deps, WALLET).state == "running"
    assert platform.rows("SELECT 1 FROM transfer WHERE kind = 'unopened'") == []


def test_nothing_ends_unopened_while_its_host_cannot_say_who_logged_in(platform):
    session = start(platform, kind="ssh", ssh_key=KEY)
    platform.clock.advance(9 * MINUTE)
    expiry.expire(platform.deps)
    assert reason_of(platform, session)[0] == "running"
    slots = [platform.provisioner.seen(slot) | {"opened": True} for slot in platform.provisioner.containers]
    platform.report(slots=slots)
    expiry.expire(platform.deps)
    assert reason_of(platform, session)[0] == "running"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0RDBFI1nhR6bMWCTp9Hh0AEYyjI3n3OKaKRXmCsuXo"


def waiting(database, **queue):
    """WALLET waits for a full host; OTHER has it."""
    platform = make_platform(database, queue=queue)
    platform.add_host()
    platform.credit(WALLET, 60)
    platform.credit(OTHER, 8 * 60)
    sessions.claim(platform.deps, OTHER, "max")
    platform.work()
    claim = sessions.claim(platform.deps, WALLET, "small")
    assert claim.state == "queued"
    return platform, claim.id


def test_a_claim_without_a_page_starts_detached_with_a_notice_and_is_given_up_late(database):
    platform, claim = waiting(database)
    platform.clock.advance(20 * MINUTE)
    expiry.expire(platform.deps)
    sessions.end(platform.deps, OTHER, sessions.current(platform.deps, OTHER).id)
    platform.work()
    view = sessions.current(platform.deps, WALLET)
    assert (view.id, view.state, view.detached, view.opened_at_ms) == (claim, "running", True, None)
    (notice,) = platform.report()["warnings"]
    assert notice["text"].startswith("This desktop started at ")
    platform.pass_time(4 * MINUTE)
    expiry.expire(platform.deps)
    sessions.attach(platform.deps, WALLET, claim)
    sessions.stream(platform.deps, WALLET, claim)
    platform.pass_time(2 * MINUTE)
    expiry.expire(platform.deps)
    assert sessions.current(platform.deps, WALLET).state == "running"


def test_a_claim_leaves_the_queue_when_its_page_has_been_gone_for_too_long(database):
    platform, claim = waiting(database, keep_without_browser_minutes=30)
    sessions.detach(platform.deps, OTHER, sessions.current(platform.deps, OTHER).id)
    platform.clock.advance(20 * MINUTE)
    sessions.heartbeat(platform.deps, WALLET, claim)
    platform.clock.advance(29 * MINUTE)
    expiry.expire(platform.deps)
    assert reason_of(platform, claim)[0] == "queued"
    platform.clock.advance(MINUTE)
    expiry.expire(platform.deps)
    assert reason_of(platform, claim) == ("ended", "no page was open for it for 30 minutes")
    assert platform.held() == 0
    assert platform.balance() == 60 * MINUTE


def found(platform):
    """What the auditor, which shares no code with the platform, says about returned minutes."""
    with platform.deps.database.begin() as db:
        findings = auditor.read(db.connection(), lambda *_: None).findings
    return [finding.what for finding in findings if finding.check in ("returned", "windows", "journal")]


def test_the_auditor_finds_a_return_that_is_none(platform):
    session = unopened(platform)
    assert found(platform) == []
    more = Posting("unopened:x", "unopened", "used:compute", f"user:{WALLET}", 5, {"session": session})
    with platform.deps.database.begin() as db:
        ledger.post(db, at_ms=platform.clock.now_ms(), transfers=[more])
    told = found(platform)
    assert "is the second within a day for its wallet" in told
    assert "amount is 5, it should be 600000" in told
