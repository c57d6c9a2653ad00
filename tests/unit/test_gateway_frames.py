"""WebSocket frames: whatever way the bytes arrive, the same payload comes out; broken frames are refused."""

import itertools
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.gateway import frames
from controller.gateway.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, FrameReader, FrameRefused

KEY = b"\x01\x02\x03\x04"


def frame(opcode, payload, *, fin=True, key=KEY, first=0):
    size = len(payload)
    head = bytes([first | opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return head + key + masked


def read_in_pieces(data, cuts):
    reader, got = FrameReader(), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        got += reader.feed(data[start:end])
    return got


messages = st.lists(st.tuples(st.binary(max_size=700), st.integers(1, 4), st.booleans()), max_size=6)


@given(messages, st.lists(st.integers(0, 10_000), max_size=20), st.binary(min_size=4, max_size=4))
def test_any_cut_of_any_fragments_gives_the_same_bytes(parts, cuts, key):
    wire, expected, pings = b"", b"", 0
    for payload, pieces, ping in parts:
        expected += payload
        step = max(1, -(-len(payload) // pieces))
        chunks = [payload[i : i + step] for i in range(0, len(payload), step)] or [b""]
        for number, chunk in enumerate(chunks):
            opcode = BINARY if number == 0 else CONTINUATION
            wire += frame(opcode, chunk, fin=number == len(chunks) - 1, key=key)
            if ping:
                wire += frame(PING, b"p", key=key)
                pings += 1
    got = read_in_pieces(wire, cuts)
    assert b"".join(payload for opcode, payload in got if opcode == BINARY) == expected
    assert [payload for opcode, payload in got if opcode == PING] == [b"p"] * pings


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_001])
def test_every_length_form_is_read_and_written(size):
    payload = os.urandom(size)
    assert b"".join(p for _, p in FrameReader().feed(frame(BINARY, payload))) == payload
    head = frames.header(BINARY, size)
    assert head[0] == 0x82
    assert len(head) == (2 if size < 126 else 4 if size < 65_536 else 10)


def test_a_large_message_is_never_kept():
    reader = FrameReader()
    wire = frame(BINARY, bytes(1_000_000))
    seen = 0
    for start in range(0, len(wire), 1000):
        seen += sum(len(p) for _, p in reader.feed(wire[start : start + 1000]))
        assert len(reader._buffer) < 1100
    assert seen == 1_000_000


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\x82\x01a", 1002),  # not masked
        (frame(BINARY, b"a", first=0x40), 1002),  # reserved bit: no extension was agreed on
        (frame(0x3, b""), 1002),
        (frame(TEXT, b"a"), 1003),
        (frame(CONTINUATION, b"a"), 1002),
        (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), 1002),
        (frame(PING, b"", fin=False), 1002),
        (frame(PING, bytes(126)), 1002),
        (b"\x82\xfe\x00\x05" + KEY + bytes(5), 1002),  # length not in its shortest form
        (b"\x82\xff" + struct.pack("!Q", 1 << 40) + KEY, 1009),
        (b"\x82\xff" + struct.pack("!Q", 1 << 63) + KEY, 1009),
    ],
)
def test_broken_frames_are_refused_with_their_close_code(wire, code):
    with pytest.raises(FrameRefused) as refused:
        FrameReader().feed(wire)
    assert refused.value.code == code


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused_but_never_crash(data):
    codes = set()
    try:
        FrameReader().feed(data)
    except FrameRefused as refused:
        codes.add(refused.code)
    assert codes <= {1002, 1003, 1009}


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", None), (b"\x03", 1002), (struct.pack("!H", 1000), 1000), (struct.pack("!H", 4999), 4999),
     (struct.pack("!H", 1005), 1002), (struct.pack("!H", 999), 1002)],
)  # fmt: skip
def test_a_close_is_answered_with_its_own_code(payload, code):
    reply = frames.close_reply(payload)
    assert reply[0] == 0x80 | CLOSE
    assert (struct.unpack("!H", reply[2:4])[0] if code else reply[1]) == (code or 0)


def test_pongs_are_control_frames():
    assert FrameReader().feed(frame(PONG, b"x")) == [(PONG, b"x")]
