"""Account codes, keys and the hash link of a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.ledger import FIRST_LINK, Posting, conflict, deposit_key, link, unit_of, use_key

POSTING = Posting("dep:1:0xa:eth:0", "deposit", "issued:eth", "user:0xa", 5, {"why": "x", "n": "1"})
postings = st.lists(
    st.builds(
        Posting,
        key=st.text(max_size=20),
        kind=st.sampled_from(["use", "deposit"]),
        debit=st.sampled_from(["user:0xa", "issued:eth"]),
        credit=st.sampled_from(["used:compute", "user:0xb"]),
        amount=st.integers(1, 2**256),
        evidence=st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers()),
    ),
    unique_by=lambda p: p.key,
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(
    ("code", "unit"),
    [
        ("user:0xa", "gpu_ms"),
        ("issued:eth", "gpu_ms"),
        ("used:compute", "gpu_ms"),
        ("chain:84532:eth", "84532:eth"),
        ("received:84532:eth", "84532:eth"),
        ("suspense:1:usdc", "1:usdc"),
    ],
)
def test_each_account_has_one_unit(code, unit):
    assert unit_of(code) == unit


@pytest.mark.parametrize("code", ["", "user", "user:", "chain:1", "chain:1:a:b", "gold:1:eth", "Users:0xa"])
def test_unknown_accounts_are_refused(code):
    with pytest.raises(ValueError, match="unknown account"):
        unit_of(code)


def test_keys():
    assert use_key("s", 12) == "use:s:12"
    assert deposit_key(1, "0xa", "log:3") == "dep:1:0xa:log:3"
    assert deposit_key(1, "0xa", "log:3", generation=2) == "dep:1:0xa:log:3:2"


@given(postings, st.randoms(use_true_random=False))
def test_a_link_does_not_depend_on_the_order_given(batch, random):
    shuffled = list(batch)
    random.shuffle(shuffled)
    assert link(FIRST_LINK, 1, batch) == link(FIRST_LINK, 1, shuffled)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "other"},
        {"kind": "use"},
        {"debit": "issued:usdc"},
        {"credit": "user:0xb"},
        {"amount": 6},
        {"evidence": {"why": "y", "n": "1"}},
    ],
)
def test_a_link_depends_on_every_field(changed):
    assert link(FIRST_LINK, 1, [replace(POSTING, **changed)]) != link(FIRST_LINK, 1, [POSTING])


def test_a_link_depends_on_what_came_before_and_when():
    assert len({link(p, t, [POSTING]) for p in (FIRST_LINK, "1" * 64) for t in (1, 2)}) == 4


def test_evidence_may_differ_under_one_key_but_the_money_may_not():
    assert not conflict(POSTING, replace(POSTING, evidence={}))
    assert conflict(POSTING, replace(POSTING, amount=6))
    assert conflict(POSTING, replace(POSTING, credit="user:0xb"))
