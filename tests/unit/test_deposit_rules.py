"""Pasted hashes, who can be credited, and what the payer reads in each state."""

from __future__ import annotations

import pytest

from controller.domain.deposits import (
    CREDITED,
    OPEN,
    Told,
    dropped_text,
    normalise_tx_hash,
    sent_text,
    short,
    state_text,
    unattributable,
)
from controller.models.money import STATES

HASH = "ab" * 32


@pytest.mark.parametrize("pasted", [HASH, "0x" + HASH, "0X" + HASH.upper(), f"  0x{HASH}\n"])
def test_a_hash_has_one_form(pasted):
    assert normalise_tx_hash(pasted) == "0x" + HASH


@pytest.mark.parametrize("pasted", ["", "0x", HASH[:-1], HASH + "0", "0x" + "g" * 64, f"0x{HASH} 0x{HASH}"])
def test_anything_else_is_no_hash(pasted):
    with pytest.raises(ValueError, match="64 hexadecimal"):
        normalise_tx_hash(pasted)


def test_nobody_is_credited_for_a_mint_or_our_own_money():
    own = {"0x" + "ee" * 20}
    assert unattributable("0x" + "0" * 40, own)
    assert unattributable("0x" + "ee" * 20, own)
    assert unattributable("0x" + "aa" * 20, own) is None


@pytest.mark.parametrize("state", sorted(set(STATES) - set(OPEN[:2])))
def test_every_settled_state_says_what_happened(state):
    said = state_text(
        Told(
            state=state,
            asset="eth",
            amount=10**15,
            decimals=18,
            chain="Base",
            credited_gpu_ms=3_600_000,
            minimum=5 * 10**15,
            missing=3 * 10**15,
            waits_why="the reason",
        )
    )
    assert "0.001 ETH" in said
    assert ("60.0 minutes" in said) == (state in CREDITED)
    assert ("0.005 ETH; 0.003 ETH more are missing" in said) == (state == "below_min")
    assert ("the reason" in said) == (state == "price_pending")
    assert ("on Base" in said) == (state == "wrong_asset")


@pytest.mark.parametrize(
    ("age_ms", "said"),
    [(-5, "less than a minute"), (60_000, "1 minute ago"), (3_600_000, "60 minutes"), (10**7, "2 hours")],
)
def test_a_transaction_that_is_not_mined_says_since_when(age_ms, said):
    assert said in sent_text(6, age_ms)
    assert said in dropped_text(age_ms)


def test_addresses_are_shortened_as_people_compare_them():
    assert short("0x12ab" + "0" * 32 + "34cd") == "0x12ab..34cd"
