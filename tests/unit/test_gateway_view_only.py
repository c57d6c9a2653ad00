"""A viewer's bytes: whatever they are and however they are cut, no input is handed on and no message is torn."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.gateway.view_only import HANDSHAKE, ViewOnly, ViewRefused

GREETING = HANDSHAKE + b"\x00"  # asks for the desktop alone
SHARED_GREETING = HANDSHAKE + b"\x01"


def filled(size):
    return st.binary(min_size=size, max_size=size)


LOOKS = st.one_of(
    filled(19).map(lambda b: b"\x00" + b),
    st.lists(filled(4), max_size=9).map(lambda e: struct.pack(">BxH", 2, len(e)) + b"".join(e)),
    filled(9).map(lambda b: b"\x03" + b),
    filled(9).map(lambda b: b"\x96" + b),
    st.binary(max_size=64).map(lambda b: struct.pack(">B3xIB", 248, 0, len(b)) + b),
)
INPUT = st.one_of(
    filled(7).map(lambda b: b"\x04" + b),
    filled(5).map(lambda b: b"\x05" + b),
    st.binary(max_size=99).map(lambda b: struct.pack(">B3xi", 6, len(b)) + b),
    st.binary(max_size=99).map(lambda b: struct.pack(">B3xi", 6, -len(b)) + b),
    filled(3).map(lambda b: b"\xfa" + b),
    st.lists(filled(16), max_size=4).map(lambda s: struct.pack(">BxHHBx", 251, 9, 9, len(s)) + b"".join(s)),
    filled(10).map(lambda b: b"\xff\x00" + b),
)
SAID = st.lists(
    st.tuples(st.booleans(), LOOKS, INPUT).map(lambda t: (t[0], t[1] if t[0] else t[2])), max_size=12
)


def fed(pieces):
    view, passed = ViewOnly(), b""
    for piece in pieces:
        passed += view.feed(piece)
    return passed


@given(SAID, st.lists(st.integers(1, 40), max_size=60))
def test_what_a_picture_needs_passes_whole_and_input_never_does(said, cuts):
    stream = GREETING + b"".join(message for _, message in said)
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    wanted = SHARED_GREETING + b"".join(message for looks, message in said if looks)
    assert fed([*pieces, stream]) == wanted


def messages(data):
    """An own reading of what was handed on: the types of its messages, which must all be whole."""
    sizes = {0: lambda _: 20, 2: lambda d: 4 + 4 * (d[2] * 256 + d[3]), 3: lambda _: 10, 150: lambda _: 10}
    sizes[248] = lambda d: 9 + d[8]
    kinds = []
    while data:
        kinds.append(data[0])
        size = sizes[data[0]](data)
        assert len(data) >= size
        data = data[size:]
    return kinds


@given(st.lists(st.binary(max_size=300), max_size=8))
@example([bytes([4, 1, 0, 0, 0, 0, 0, 97]), bytes([5, 0x80, 0, 1, 0, 1, 3])])  # seven bytes of a pointer
@example([bytes([255, 1]) + bytes(20)])
@example([bytes([6, 0, 0, 0, 0x80, 0, 0, 0]) + bytes([4, 1, 0, 0, 0, 0, 0, 97])])
def test_of_any_bytes_only_messages_of_looking_come_through(noise):
    view, passed = ViewOnly(), b""
    with contextlib.suppress(ViewRefused):
        for piece in [GREETING, *noise]:
            passed += view.feed(piece)
    assert passed.startswith(SHARED_GREETING)
    assert set(messages(passed[len(SHARED_GREETING) :])) <= {0, 2, 3, 150, 248}


@pytest.mark.parametrize(
    "greeting", [b"RFB 003.003\n", b"RFB 003.008\n\x02", b"GET / HTTP/1.1", b"\x04" * 14]
)
def test_another_handshake_is_refused(greeting):
    with pytest.raises(ViewRefused):
        fed([greeting[:5], greeting[5:]])


def test_a_huge_clipboard_is_dropped_as_it_comes_and_kept_nowhere():
    view = ViewOnly()
    view.feed(GREETING + struct.pack(">B3xi", 6, 2**31 - 1))
    for _ in range(100):
        assert view.feed(bytes([4]) * 100_000) == b""
        assert len(view._buffer) == 0
