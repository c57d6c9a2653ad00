"""Loops of the worker outlive whatever their steps run into."""

from __future__ import annotations

import logging
import threading

from controller.errors import ChainUnavailable, DatabaseUnavailable
from controller.worker.loops import Loop


def make(results, calls=None):
    """A loop whose step does one of `results` after the other: a number, or an error to raise."""
    left = list(results)

    def step():
        result = left.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    return Loop("test", step, 0.0, threading.Event())


def test_an_outage_is_said_once_and_its_end_too(caplog):
    loop = make([DatabaseUnavailable(), DatabaseUnavailable(), ChainUnavailable(), 1, 1])
    with caplog.at_level(logging.INFO):
        assert [loop.once() for _ in range(5)] == [False, False, False, True, True]
    assert [record.getMessage() for record in caplog.records] == [
        "test: database_unavailable",
        "test: chain_unavailable",
        "test: works again after chain_unavailable",
    ]


def test_an_unexpected_error_is_logged_with_its_trace_and_the_loop_goes_on(caplog):
    loop = make([ValueError("planted"), 1])
    assert [loop.once(), loop.once()] == [False, True]
    assert "planted" in caplog.text


def test_a_loop_ends_when_it_is_told_to():
    stopping = threading.Event()
    seen = []

    def step():
        seen.append(1)
        if len(seen) == 3:
            stopping.set()
        return 1

    Loop("test", step, 0.0, stopping).run()
    assert len(seen) == 3
