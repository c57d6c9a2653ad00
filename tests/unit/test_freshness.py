"""Many who ask at once cost one read, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes import FakeClock

from controller.services import freshness
from controller.services.freshness import Fresh


def test_an_answer_is_read_once_in_its_life():
    clock, asked = FakeClock(), []
    kept: Fresh[int] = Fresh(clock, 3_000)

    def read() -> int:
        asked.append(clock.ms)
        return len(asked)

    assert [kept.get("eth", read, 0) for _ in range(5)] == [1] * 5
    clock.advance(2_999)
    assert kept.get("eth", read, 0) == 1
    clock.advance(1)
    assert kept.get("eth", read, 0) == 2
    clock.advance(-60_000)  # a clock set back does not freeze an answer
    assert kept.get("eth", read, 0) == 3
    assert kept.get("usdc", read, 0) == 4


def test_while_one_reads_the_others_get_the_last_answer():
    clock = FakeClock()
    kept: Fresh[str] = Fresh(clock, 1_000)
    kept.get("eth", lambda: "old", "none")
    clock.advance(1_000)
    begun, go = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go.wait(10)
        return "new"

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(kept.get, "eth", slow, "none")
        assert begun.wait(10)
        assert kept.get("eth", lambda: "never read", "none") == "old"
        go.set()
        assert reading.result() == "new"
    assert kept.get("eth", lambda: "never read", "none") == "new"


def test_a_first_answer_is_waited_for_but_not_for_ever(monkeypatch):
    kept: Fresh[str] = Fresh(FakeClock(), 1_000)
    begun, go = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go.wait(10)
        return "first"

    with ThreadPoolExecutor(9) as pool:
        reading = pool.submit(kept.get, "eth", slow, "none")
        assert begun.wait(10)
        monkeypatch.setattr(freshness, "WAIT_S", 0.0)
        assert kept.get("eth", slow, "none") == "none"
        monkeypatch.setattr(freshness, "WAIT_S", 10.0)
        waiting = [pool.submit(kept.get, "eth", slow, "none") for _ in range(8)]
        go.set()
        assert {w.result() for w in [reading, *waiting]} == {"first"}


def test_a_fault_is_told_and_not_kept():
    kept: Fresh[int] = Fresh(FakeClock(), 1_000)

    def broken() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            kept.get("eth", broken, 0)
    assert kept.get("eth", lambda: 7, 0) == 7


def test_only_so_many_keys_are_kept():
    kept: Fresh[int] = Fresh(FakeClock(), 1_000, most=2)
    for key in ("a", "b", "c"):
        kept.get(key, lambda: 1, 0)
    assert kept.get("a", lambda: 2, 0) == 2
    assert kept.get("c", lambda: 2, 0) == 1
