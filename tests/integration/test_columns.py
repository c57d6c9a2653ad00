"""Columns that are handed to PostgreSQL as text arrive as they were."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from controller.services.columns import numbers, words

pytestmark = pytest.mark.integration
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["", "NULL", "null", '"', "\\", '\\"', "{}", "a,b", " a ", "\n\t", '{"why": "\\u00e9\\n"}']
)
whole = st.integers(-(2**63), 2**63 - 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(said=st.lists(texts | st.none()), counts=st.lists(whole), flags=st.lists(st.booleans()))
def test_what_is_given_is_read_back(database, said, counts, flags):
    asked = text("SELECT CAST(:said AS text[]), CAST(:counts AS bigint[]), CAST(:flags AS boolean[])")
    given_as = {"said": words(said), "counts": numbers(counts), "flags": numbers(flags)}
    with database.begin() as db:
        assert db.execute(asked, given_as).one() == (said, counts, flags)


def test_amounts_beyond_64_bits_are_exact(database):
    with database.begin() as db:
        asked = text("SELECT unnest(CAST(:amounts AS numeric[]))")
        assert db.execute(asked, {"amounts": numbers([2**255, 1])}).scalars().all() == [2**255, 1]


@pytest.mark.parametrize("texts_given", [["a\0b"], ["a", "\0"], [None, "\0"]])
def test_a_text_that_postgresql_cannot_hold_is_refused_and_never_becomes_two(texts_given):
    with pytest.raises(ValueError, match="NUL"):
        words(texts_given)
