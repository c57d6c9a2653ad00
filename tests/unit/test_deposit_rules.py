"""Pasted hashes, who can be credited, and what the payer reads in each state."""

from __future__ import annotations

import pytest

from controller.domain.deposits import CREDITED, OPEN, normalise_tx_hash, short, state_text, unattributable
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
        state, asset="eth", amount=10**15, decimals=18, credited_gpu_ms=3_600_000, minimum=5 * 10**15
    )
    assert "0.001 ETH" in said
    assert ("60.0 minutes" in said) == (state in CREDITED)
    assert ("0.005 ETH" in said) == (state == "below_min")


def test_addresses_are_shortened_as_people_compare_them():
    assert short("0x12ab" + "0" * 32 + "34cd") == "0x12ab..34cd"
