"""Which tab must ask, and which was overtaken."""

from hypothesis import given
from hypothesis import strategies as st

from controller.domain.tabs import PRESENT_BEATS, is_tab, must_ask, overtaken

BEAT_MS = 20_000
NAMES = st.sampled_from(["", "a", "b", "c"])


def test_a_second_tab_asks_while_the_first_is_heard_of():
    assert must_ask("a", "b", 1_000, 1_000 + PRESENT_BEATS * BEAT_MS, BEAT_MS)
    assert not must_ask("a", "b", 1_000, 1_001 + PRESENT_BEATS * BEAT_MS, BEAT_MS)
    assert not must_ask("a", "b", None, 1_000, BEAT_MS)
    assert not must_ask("", "b", 1_000, 1_000, BEAT_MS)
    assert not must_ask("a", "", 1_000, 1_000, BEAT_MS), "a program is in nobody's way"


@given(st.lists(NAMES, min_size=1), NAMES)
def test_the_last_that_took_it_is_never_overtaken_and_every_other_is(takers, tab):
    has = takers[-1]
    assert not overtaken(has, has)
    assert overtaken(has, tab) == (tab not in ("", has) and has != "")


def test_a_tab_names_itself_in_letters_digits_and_hyphens():
    assert is_tab("0c4de1d2-7a39-4c3f-9a55-0d9e3d3c7b11")
    assert not any(is_tab(name) for name in ("", "a b", "x" * 37, "'; --", "ü"))
