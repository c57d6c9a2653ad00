"""Changing where payments go takes two operators; until then nobody is sent there and nothing is credited."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner
from fakes import ALICE, ETHER, FakeChain, make_deps, make_settings, payment
from sqlalchemy import text

from controller.auditor.run import audit
from controller.cli import ledger_addresses
from controller.errors import BadInput, EntryRefused, NotYours, PaymentsHeld
from controller.services import site
from controller.services.alerts import open_alerts
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger
from controller.services.pricing import payment_addresses, quotes_offer
from controller.services.pricing.rate_board import HELD, RateBoard
from controller.worker.chain_loops import chain_loops

pytestmark = pytest.mark.integration
THIEF = "0x" + "66" * 20
CHANGES = [
    {"chain": {"revenue_wallet": THIEF}},
    {"chain": {"former_revenue_wallets": [THIEF]}},
    {"chain": {"sequencer_feed": THIEF}},
    {"eth": {"usd_feed": THIEF}},
    {"usdc": {"contract": THIEF}},
    {"usdc": {"usd_feed": THIEF}},
    {"axgt": {"contract": THIEF}},
    {"axgt": {"pool": THIEF}},
    {"axgt": {"second_feed": THIEF}},
]


@pytest.fixture
def deps(database, database_url):
    """A platform that has started once."""
    made = make_deps(database, settings=make_settings(database_url))
    assert payment_addresses.accepted(made)
    with database.begin() as db:
        db.execute(text("INSERT INTO wallet (address, created_at_ms) VALUES (:w, 1)"), {"w": ALICE})
    return made


def edited(deps, **sections):
    """The same platform after somebody edited its file and restarted it."""
    return replace(deps, settings=make_settings(deps.settings.database.url, **sections))


@pytest.mark.parametrize("change", CHANGES)
def test_each_changed_address_holds_payments(deps, change):
    assert not payment_addresses.accepted(edited(deps, **change))
    assert payment_addresses.accepted(deps)


def test_what_is_no_address_may_change_and_letters_may_be_large(deps):
    large = {"revenue_wallet": "0x" + deps.settings.chain.revenue_wallet[2:].upper(), "confirmations": 12}
    assert payment_addresses.accepted(edited(deps, chain=large, quotes={"minutes": 5}))


def test_nothing_is_quoted_shown_or_credited_meanwhile(deps):
    stolen = edited(deps, chain={"revenue_wallet": THIEF})
    with pytest.raises(PaymentsHeld):
        quotes_offer.offer(stolen, ALICE, "eth", "min", None)
    assert RateBoard(stolen).price("eth").why == HELD
    assert site.site_config(stolen).chain.revenue_wallet == ""
    deps.chain.mine(6, [payment()])
    with pytest.raises(PaymentsHeld):
        deposits.hint(stolen, ALICE, FakeChain.hash_of("tx"))
    (loop,) = chain_loops(stolen, threading.Event())
    assert loop.once()
    with deps.database.begin() as db:
        assert ledger.balance(db, ALICE).gpu_ms == 0
        assert [alert.kind for alert in open_alerts(db)] == ["payment-addresses"]


def test_a_second_operator_lets_payments_go_on(deps):
    moved = edited(deps, chain={"revenue_wallet": THIEF})
    asked = payment_addresses.ask(moved, "olga", "the old wallet's key was lost")
    assert payment_addresses.ask(moved, "olga", "again") == asked
    with pytest.raises(EntryRefused, match="another operator"):
        payment_addresses.decide(moved, asked.fingerprint, "olga")
    (loop,) = chain_loops(moved, threading.Event())
    assert loop.once()
    assert not payment_addresses.accepted(moved)

    payment_addresses.decide(deps, asked.fingerprint[:8], "pavel")

    deps.chain.mine(6, [payment(amount=ETHER)])
    assert loop.once()
    with deps.database.begin() as db:
        assert ledger.balance(db, ALICE).gpu_ms > 0
        assert open_alerts(db) == []
    assert payment_addresses.accepted(moved)
    assert not payment_addresses.accepted(deps)  # what was before is not allowed for ever
    assert [one.state for one in payment_addresses.overview(deps)] == ["accepted before", "accepted"]
    with pytest.raises(EntryRefused, match="already"):
        payment_addresses.ask(moved, "olga", "once more")


def test_what_was_refused_or_never_asked_for_is_not_approved(deps):
    moved = edited(deps, chain={"revenue_wallet": THIEF})
    asked = payment_addresses.ask(moved, "olga", "by mistake")
    assert payment_addresses.decide(moved, asked.fingerprint, "olga", refuse=True).state == "refused"
    for start in (asked.fingerprint, "", "%" * 8, "f" * 64):
        with pytest.raises(NotYours):
            payment_addresses.decide(moved, start, "pavel")
    with pytest.raises(BadInput):
        payment_addresses.ask(moved, "olga", " ")
    assert not payment_addresses.accepted(moved)


def test_of_many_first_starts_one_is_the_first(database, database_url):
    settings = [make_settings(database_url, eth={"usd_feed": "0x" + f"{n:040x}"}) for n in range(12)]
    barrier, said = threading.Barrier(12), []

    def start(one):
        barrier.wait()
        said.append(payment_addresses.accepted(make_deps(database, settings=one)))

    threads = [threading.Thread(target=start, args=(one,)) for one in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False] * 11 + [True]


def test_play_money_needs_nobody(database, database_url):
    local = {"faucet_key": "/x", "ethers_js": "/x"}
    for wallet in ("0x" + "11" * 20, "0x" + "22" * 20):
        made = make_settings(database_url, mode="local", local=local, chain={"revenue_wallet": wallet})
        assert payment_addresses.accepted(make_deps(database, settings=made))


def test_an_acceptance_written_past_the_program_is_found(deps):
    def findings():
        return audit(deps.settings, lambda *_: None, offline=True).findings

    payment_addresses.ask(edited(deps, chain={"revenue_wallet": THIEF}), "olga", "a reason")
    assert findings() == []
    with deps.database.begin() as db:
        db.execute(
            text(
                "UPDATE payment_addresses SET state = 'accepted', approver = 'pavel' WHERE state = 'waiting'"
            )
        )
    (found,) = findings()
    assert (found.check, found.subject) == ("seal", "payment_addresses 2")


def test_the_command_shows_asks_and_approves(deps, monkeypatch):
    moved = edited(deps, chain={"revenue_wallet": THIEF})
    monkeypatch.setattr(ledger_addresses, "connect", lambda: moved)
    monkeypatch.setattr(ledger_addresses, "operator", lambda: "olga")

    def run(*words, **more):
        return CliRunner().invoke(ledger_addresses.addresses, words, **more)

    assert f"chain 84532 revenue wallet       {THIEF}" in run("show").output
    said = run("ask", "--reason", "a new wallet").output
    mark = said.split()[-1]
    assert f"axonos ledger addresses approve {mark}" in said
    monkeypatch.setattr(ledger_addresses, "operator", lambda: "pavel")
    assert run("approve", mark, input="n\n").exit_code == 1
    assert not payment_addresses.accepted(moved)
    assert "is accepted" in run("approve", mark, input="y\n").output
    assert payment_addresses.accepted(moved)
    assert '"accepted before"' in run("show", "--json").output
