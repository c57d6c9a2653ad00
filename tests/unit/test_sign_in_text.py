"""The EIP-4361 text: as the specification has it, and as the verifying library reads it."""

from __future__ import annotations

import re

import pytest

from controller.domain.sign_in_text import (
    LIFE_MS,
    MAX_CHARS,
    Site,
    new_nonce,
    nonce_of,
    sign_in_text,
)

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
NOW = 1_800_000_000_123
LOCAL = Site("http://localhost:8080", 84532)
PUBLIC = Site("https://gpu.example.org", 8453)


def test_the_whole_text() -> None:
    assert sign_in_text(LOCAL, ADDRESS, "a1B2c3D4e5F6g7H8", NOW) == (
        "http://localhost:8080 wants you to sign in with your Ethereum account:\n"
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8\n"
        "\n"
        "Sign in to AxonOS. This is a signature, no transaction: it costs nothing and moves nothing.\n"
        "\n"
        "URI: http://localhost:8080/\n"
        "Version: 1\n"
        "Chain ID: 84532\n"
        "Nonce: a1B2c3D4e5F6g7H8\n"
        "Issued At: 2027-01-15T08:00:00.123Z\n"
        "Expiration Time: 2027-01-15T08:05:00.123Z"
    )


def test_https_is_the_scheme_nobody_writes() -> None:
    assert sign_in_text(PUBLIC, ADDRESS, "n" * 24, NOW).startswith("gpu.example.org wants you")


@pytest.mark.parametrize("site", [LOCAL, PUBLIC])
def test_the_nonce_is_found_again(site: Site) -> None:
    nonce = new_nonce(lambda alphabet: alphabet[7])
    assert re.fullmatch(r"[A-Za-z0-9]{24}", nonce)
    assert nonce_of(sign_in_text(site, ADDRESS, nonce, NOW)) == nonce


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nonce: short",
        "Nonce: " + "a" * 24 + "!",
        "Nonce: " + "a" * 24 + "\nNonce: " + "b" * 24,
        "x Nonce: " + "a" * 24,
        "Nonce: " + "a" * 24 + "\n" * MAX_CHARS,
    ],
)
def test_no_nonce_is_read_into_what_has_none_or_two(text: str) -> None:
    assert nonce_of(text) is None


def test_the_text_lives_five_minutes() -> None:
    assert LIFE_MS == 300_000
