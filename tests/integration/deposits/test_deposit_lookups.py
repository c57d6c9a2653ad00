"""A pasted hash on several chains: found wherever it is, told apart while no block holds it, and cheap."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from deposit_kit import BASE, BASE_ID, HOUR, alerts_of, has, sound, state, watch
from fakes import ALICE, BOB, ETHER, FakeChain, make_deps, make_settings, payment
from sqlmodel import SQLModel, select

from controller.errors import ChainUnavailable, DepositNotFound, NothingForUs, UnsupportedToken
from controller.models import MoneyEvent, OperatorAlert, SentTransaction
from controller.services import alerts
from controller.services.deposits import of_wallet as deposits

pytestmark = pytest.mark.integration

MINIMUM = ETHER // 2_000
TX = FakeChain.hash_of("tx")


class Counting:
    """A chain reader that counts what it is asked."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain, self.asked = chain, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.chain, name)
        if not callable(found):
            return found

        def ask(*arguments: Any) -> Any:
            self.asked[name] += 1
            return found(*arguments)

        return ask


@pytest.fixture
def chains():
    return Counting(FakeChain()), Counting(FakeChain(name="base"))


@pytest.fixture
def deps(database, chains):
    home, base = chains
    settings = make_settings(further_chains=[BASE], usdc={"chain_id": BASE_ID})
    return make_deps(database, home, settings=settings, further={BASE_ID: base})


def rows(deps, model: type[SQLModel]) -> int:
    with deps.database.begin() as db:
        return len(db.exec(select(model)).all())


def test_an_unknown_hash_costs_one_look_per_chain_and_writes_nothing(deps, chains):
    with pytest.raises(DepositNotFound, match="test chain or Base"):
        deposits.hint(deps, ALICE, TX)
    # `transaction` is two questions to a node: the receipt, then the pool.
    assert [dict(chain.asked) for chain in chains] == [{"transaction": 1}, {"transaction": 1}]
    assert (rows(deps, MoneyEvent), rows(deps, SentTransaction), rows(deps, OperatorAlert)) == (0, 0, 0)


def test_a_payment_on_another_chain_is_found_there(deps, chains):
    _, base = chains
    base.chain.mine(6, [payment(BOB, 2_000_000, asset="usdc", position="log:0")])
    view = deposits.hint(deps, BOB, TX)
    assert (view.chain_name, view.state, has(deps, BOB)) == ("Base", "credited", 2 * HOUR)
    sound(deps)


def test_the_wrong_chain_is_named(deps, chains):
    _, base = chains
    base.chain.mine(6, [payment()])
    view = deposits.hint(deps, ALICE, TX)
    assert (view.state, view.yours) == ("wrong_asset", True)
    assert "Received 1 ETH on Base, where it is not accepted" in view.message


def test_a_chain_that_is_down_is_said_unless_another_knows_the_transaction(deps, chains):
    home, base = chains
    home.chain.down = True
    with pytest.raises(ChainUnavailable, match="test chain cannot be read"):
        deposits.hint(deps, ALICE, TX)
    base.chain.mine(1, [payment(BOB, 2_000_000, asset="usdc", position="log:0")])
    assert deposits.hint(deps, BOB, TX).confirmations == 1


def test_a_known_deposit_is_shown_while_its_chain_is_down(deps, chains):
    home, _ = chains
    home.chain.mine(6, [payment(amount=MINIMUM)])
    watch(deps)
    home.chain.down = True
    assert deposits.hint(deps, ALICE, TX).state == "credited"


def test_a_transaction_in_the_pool_is_remembered_and_later_told_replaced_or_dropped(deps, chains):
    home = chains[0].chain
    sent = home.send("first", ALICE, 5)
    assert (view := deposits.hint(deps, ALICE, sent)).state == "seen"
    assert view.message == (
        "Sent, not mined yet; looked up first less than a minute ago. Pending: 0 of 6 confirmations."
    )
    deps.clock.advance(300_000)
    assert "5 minutes ago" in deposits.hint(deps, ALICE, sent).message
    home.waiting.clear()
    view = deposits.hint(deps, ALICE, sent)
    assert (view.state, "5 minutes ago" in view.message) == ("dropped", True)
    home.nonces[ALICE] = 6
    view = deposits.hint(deps, ALICE, sent)
    assert (view.state, "is found by itself" in view.message) == ("replaced", True)
    home.mine(6, [replace(payment(amount=MINIMUM), nonce=5)])
    watch(deps)
    view = deposits.hint(deps, BOB, sent)
    assert (view.state, TX in view.message) == ("replaced", True)
    assert (rows(deps, MoneyEvent), has(deps)) == (1, HOUR)


def test_what_waited_in_a_pool_is_forgotten_after_a_week(deps, chains):
    home = chains[0].chain
    deposits.hint(deps, ALICE, home.send("first"))
    deps.clock.advance(8 * 86_400_000)
    deposits.hint(deps, ALICE, home.send("second"))
    assert rows(deps, SentTransaction) == 1


def test_an_unsupported_token_is_named_and_nothing_is_written(deps, chains):
    home = chains[0].chain
    home.mine(2)
    home.unsupported[TX] = ["0x" + "ab" * 20]
    with pytest.raises(UnsupportedToken, match=r"0xabab.*on test chain") as said:
        deposits.hint(deps, ALICE, TX)
    assert (said.value.code, said.value.detail) == ("unsupported_token", {"tokens": ["0x" + "ab" * 20]})
    home.unsupported[TX] = []
    with pytest.raises(NothingForUs, match="pays nothing"):
        deposits.hint(deps, ALICE, TX)
    assert rows(deps, MoneyEvent) == 0


def test_what_only_a_pasted_hash_has_seen_is_never_credited(deps, chains):
    """A node that lies to a look-up, or a block the watcher has passed without it."""
    home = chains[0].chain
    home.mine(9)
    watch(deps)
    at = home.blocks[3]
    home.payments_of = lambda _: [replace(payment(), block_number=at.number, block_hash=at.hash)]
    facts = home.transaction
    home.transaction = lambda tx: type(facts(tx))(tx, True, at.number, at.hash, True)
    assert deposits.hint(deps, ALICE, TX).state == "orphaned"
    watch(deps)
    assert (has(deps), state(deps)) == (0, "orphaned")
    sound(deps)


def test_a_look_up_reads_a_few_blocks_at_most(deps, chains):
    home = chains[0]
    watch(deps)
    home.chain.mine(500)
    home.chain.mine(6, [payment()])
    home.asked.clear()
    deposits.hint(deps, ALICE, TX)
    assert sum(home.asked.values()) < 12
    assert deposits.hint(deps, ALICE, TX).state == "seen"


def test_a_stopped_watcher_is_an_alert_until_it_goes_on(deps, chains):
    home = chains[0].chain
    home.mine(6, [payment()])
    watch(deps)
    genesis, home.blocks[0] = home.blocks[0], type(home.blocks[0])(0, FakeChain.hash_of("other"), "0x0", 1)
    assert deposits.watch_once(deps) == 0
    (alert,) = alerts_of(deps)
    assert (alert.kind, alert.subject) == ("watcher-stopped", "84532")
    home.blocks[0] = genesis
    watch(deps)
    assert alerts_of(deps) == []


def test_an_alert_is_one_row_until_it_is_cleared(deps):
    with deps.database.begin() as db:
        for why in ("a", "a", "b"):
            alerts.raise_alert(db, "daily-cap", "x", why, 7)
        alerts.raise_alert(db, "daily-cap", "y", "c", 8)
    first, second = alerts_of(deps)
    assert [(a.subject, a.why, a.since_ms) for a in (first, second)] == [("x", "b", 7), ("y", "c", 8)]
    assert (alerts.acknowledge(deps, first.id), alerts.acknowledge(deps, first.id)) == (True, False)
    with deps.database.begin() as db:
        alerts.clear_alert(db, "daily-cap", "y", 9)
        alerts.raise_alert(db, "daily-cap", "y", "again", 10)
    (third,) = alerts_of(deps)
    assert (third.subject, third.since_ms, rows(deps, OperatorAlert)) == ("y", 10, 3)
