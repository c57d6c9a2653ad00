"""Blooms: what a block may hold, by the same bits that a node sets."""

from __future__ import annotations

import os

from eth_utils.crypto import keccak

from controller.adapters.chain_bloom import may_hold

TOKEN, TOPIC, WALLET = b"\x11" * 20, b"\x22" * 32, b"\x00" * 12 + b"\x33" * 20


def bloom_of(*parts: bytes) -> str:
    """A block's bloom, byte by byte as the Yellow Paper describes it."""
    bloom = bytearray(256)
    for part in parts:
        digest = keccak(part)
        for i in (0, 2, 4):
            bit = ((digest[i] << 8) + digest[i + 1]) & 2047
            bloom[255 - bit // 8] |= 1 << bit % 8
    return "0x" + bloom.hex()


def test_what_was_added_may_be_there():
    bloom = bloom_of(TOKEN, TOPIC, WALLET, os.urandom(20))
    assert may_hold(bloom, TOKEN, TOPIC, WALLET)


def test_one_part_alone_is_not_enough():
    assert not may_hold(bloom_of(TOKEN, TOPIC), TOKEN, TOPIC, WALLET)
    assert not may_hold(bloom_of(), TOKEN)


def test_a_bloom_left_out_holds_nothing():
    assert not may_hold("0x0", TOKEN)
