"""A watcher that stopped goes on when the operator says from where; balances follow the chain again."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from deposit_kit import HOUR, alerts_of, has, sound, state, watch
from fakes import BOB, FakeChain, payment

from controller.cli import ledger_chain
from controller.errors import BadInput
from controller.services.deposits import of_wallet as deposits
from controller.services.deposits.resume import plan, resume

pytestmark = pytest.mark.integration

CHAIN = 84532
WORTH = 2_000 * HOUR


def stop_past_a_final_deposit(deps, chain):
    """Two final deposits; a reorganisation keeps one of them and drops the other."""
    chain.mine(3, [payment(BOB, tx="bob")])
    chain.mine(9, [payment()])
    chain.finalized = 4
    watch(deps)
    assert (state(deps), state(deps, "bob")) == ("final", "final")
    chain.reorg(9)
    chain.mine(12)
    assert watch(deps) == 0


def test_it_goes_on_from_a_block_and_follows_the_chain_again(deps, chain):
    stop_past_a_final_deposit(deps, chain)
    told = plan(deps, CHAIN, 3)
    assert (told.deposits, told.credited, "past a final deposit" in told.stopped_why) == (1, 1, True)
    assert has(deps) == WORTH, "a plan changes nothing"
    assert resume(deps, CHAIN, 3) == told
    assert alerts_of(deps) == []
    watch(deps)
    assert (has(deps), state(deps), has(deps, BOB), state(deps, "bob")) == (0, "reversed", WORTH, "final")
    sound(deps)


def test_what_is_still_mined_is_credited_again_once(deps, chain):
    stop_past_a_final_deposit(deps, chain)
    resume(deps, CHAIN, 0)
    assert (has(deps), has(deps, BOB)) == (0, 0)
    watch(deps)
    assert (has(deps), has(deps, BOB), state(deps, "bob")) == (0, WORTH, "final")
    sound(deps)


@pytest.mark.parametrize(
    ("chain_id", "block", "said"),
    [(1, 0, "not configured"), (CHAIN, 13, "up to 12"), (CHAIN, -1, "negative")],
)
def test_what_makes_no_sense_is_refused(deps, chain, chain_id, block, said):
    stop_past_a_final_deposit(deps, chain)
    with pytest.raises(BadInput, match=said):
        resume(deps, chain_id, block)


def test_a_watcher_that_is_not_stopped_or_sees_another_chain_is_left_alone(deps, chain):
    chain.mine(3)
    watch(deps)
    with pytest.raises(BadInput, match="not stopped"):
        resume(deps, CHAIN, 1)
    chain.blocks[0] = type(chain.blocks[0])(0, FakeChain.hash_of("other"), "0x0", 1)
    assert deposits.watch_once(deps) == 0
    with pytest.raises(BadInput, match="correct the node"):
        resume(deps, CHAIN, 1)


def test_the_command_asks_first(deps, chain, monkeypatch):
    stop_past_a_final_deposit(deps, chain)
    monkeypatch.setattr(ledger_chain, "connect", lambda: deps)
    asked = [str(CHAIN), "--from-block", "3"]
    refused = CliRunner().invoke(ledger_chain.resume_chain, asked, input="n\n")
    assert (refused.exit_code, "1 credits are taken back" in refused.output, has(deps)) == (1, True, WORTH)
    done = CliRunner().invoke(ledger_chain.resume_chain, [*asked, "--yes", "--json"])
    assert json.loads(done.output)["credited"] == 1
    assert has(deps) == 0
