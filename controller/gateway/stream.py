"""One stream: a browser's WebSocket on one side, a desktop's unix socket on the other, bytes between them.

Protocols instead of coroutines: no task, queue or copy per message, so one core carries hundreds of
streams. A side that cannot write pauses reading on the other.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol, cast

from controller.domain.ticket import HOME, TicketClaims
from controller.gateway import frames, handshake
from controller.gateway.admission import NO_DESKTOP, NotAdmitted
from controller.gateway.desktop import NoDesktop
from controller.gateway.view_only import ViewOnly, ViewRefused, looks_on

log = logging.getLogger("axonos.gateway")
HANDSHAKE_S = 10
CLOSING_S = 2
HIGH_WATER = 1 << 18
GOING_AWAY, POLICY = 1001, 1008


class Host(Protocol):
    """What a stream asks of the gateway it belongs to."""

    origin: str

    def admit(self, ticket: str) -> TicketClaims: ...
    def connect(self, browser: Browser) -> None: ...
    def health(self) -> bytes: ...
    def left(self, browser: Browser) -> None: ...
    def touched(self, browser: Browser) -> None: ...


class Browser(asyncio.Protocol):
    """The WebSocket's side; `slot` is empty until a ticket was accepted, `view` set for one that looks on.

    `ticket` is kept of one for the files of a home.
    """

    transport: asyncio.Transport

    def __init__(self, host: Host) -> None:
        self.slot, self.ticket = "", ""
        self.view: ViewOnly | None = None
        self.desktop: asyncio.Transport | None = None
        self.heard_s = 0.0
        self.noted_s = 0.0
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._head = bytearray()
        self._reader: frames.FrameReader | None = None
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self._timer = self._loop.call_later(HANDSHAKE_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._loop.time()
        if self._reader is None:
            self._read_head(data)
            return
        try:
            pieces = self._reader.feed(data)
        except frames.FrameRefused as refused:
            self._refuse(refused.code, str(refused))
            return
        for opcode, payload in pieces:
            if opcode == frames.BINARY:
                if self.desktop is not None and not self._closing:
                    self._hand_on(self.desktop, payload)
            else:
                self._control(opcode, payload)

    def _hand_on(self, desktop: asyncio.Transport, payload: bytes) -> None:
        if self.view is None:
            if not self.ticket and not looks_on(payload):
                self._host.touched(self)
            desktop.write(payload)
            return
        try:
            desktop.write(self.view.feed(payload))
        except ViewRefused as refused:
            self._refuse(POLICY, str(refused))

    def _refuse(self, code: int, why: str) -> None:
        self.close(code, why)
        self.transport.pause_reading()

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.CLOSE:
            if not self._closing:
                self.transport.write(frames.close_reply(payload))
            self.transport.close()
        elif opcode == frames.PING and not self._closing:
            self.transport.write(frames.header(frames.PONG, len(payload)) + payload)

    def _read_head(self, data: bytes) -> None:
        self._head += data
        head, end, rest = bytes(self._head).partition(handshake.END)
        if len(head) > handshake.MAX_REQUEST:
            self._answer(handshake.answer("431 Request Header Fields Too Large"))
        elif end:
            self._head.clear()
            try:
                self._open(handshake.parse(head))
            except handshake.RequestRefused as refused:
                self._answer(handshake.answer(refused.status, headers=refused.headers))
                return
            if rest and self._reader is not None:
                self.data_received(rest)

    def _open(self, request: handshake.Request) -> None:
        if request.path == handshake.HEALTH_PATH:
            self._answer(
                handshake.answer("200 OK", self._host.health(), "Content-Type: application/json\r\n")
            )
            return
        key = handshake.accept_key(request, self._host.origin)
        if self._timer:
            self._timer.cancel()
        self._reader = frames.FrameReader()
        self.transport.write(handshake.switching(key))
        try:
            admitted = self._host.admit(request.ticket)
            self.slot, self.view = admitted.slot, ViewOnly() if admitted.view_only else None
            if admitted.slot == HOME:  # any number of connections; each is known by its ticket
                self.slot, self.ticket = f"{HOME} {admitted.id}", request.ticket
            self._host.connect(self)
        except NotAdmitted as refused:
            log.info("refused: %s", refused)
            self.close(refused.code, str(refused))
        except NoDesktop as missing:
            log.info("no desktop in slot %s: %s", self.slot, missing)
            self.close(NO_DESKTOP, "no such desktop")

    def _answer(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()

    def close(self, code: int, why: str = "") -> None:
        """Say goodbye; the connection ends when the browser agrees, or soon after."""
        if self._closing:
            return
        self._closing = True
        if self._reader is None:
            self.transport.close()
            return
        self.transport.write(frames.close_frame(code, why))
        self._timer = self._loop.call_later(CLOSING_S, self.transport.close)
        self.transport.resume_reading()
        if self.desktop is not None:
            self.desktop.close()

    def ping(self) -> None:
        if not self._closing and self._reader is not None:
            self.transport.write(frames.header(frames.PING, 0))

    def pause_writing(self) -> None:
        if self.desktop is not None:
            self.desktop.pause_reading()

    def resume_writing(self) -> None:
        if self.desktop is not None:
            self.desktop.resume_reading()

    def connection_lost(self, _why: Exception | None) -> None:
        self._closing = True
        if self._timer:
            self._timer.cancel()
        if self.desktop is not None:
            self.desktop.close()
        self._host.left(self)


class Desktop(asyncio.Protocol):
    """The unix socket's side: each chunk that comes becomes one binary frame."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._out = browser.transport

    def connection_made(self, base: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, base)
        if self._out.is_closing():
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._browser.desktop = transport
        self._browser.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._out.writelines((frames.header(frames.BINARY, len(data)), data))

    def pause_writing(self) -> None:
        self._browser.transport.pause_reading()

    def resume_writing(self) -> None:
        self._browser.transport.resume_reading()

    def connection_lost(self, _why: Exception | None) -> None:
        self._browser.close(GOING_AWAY, "the desktop closed the stream")
