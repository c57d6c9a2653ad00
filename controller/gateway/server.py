"""The gateway: accepts browsers, admits them by ticket, joins them to desktops, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from contextlib import suppress
from itertools import chain

from controller.adapters.tickets import load_verifier
from controller.domain.ticket import TicketClaims
from controller.gateway import desktop
from controller.gateway.admission import NO_DESKTOP, TAKEN_OVER, TOO_MANY, Admission, NotAdmitted
from controller.gateway.stream import GOING_AWAY, Browser, Desktop
from controller.host import inputs
from controller.host.config import HostConfig
from controller.host.steady import HostClock

log = logging.getLogger("axonos.gateway")
PING_EVERY_S = 20.0
SILENT_S = 60.0
DRAIN_S = 3.0
VIEWERS = 8
NOTE_EVERY_S = 5.0


class Gateway:
    """The streams of one host: for each desktop one that works there, and a few that look on.

    A second stream that is to work takes the desktop over from the first; viewers disturb nobody.
    """

    def __init__(self, config: HostConfig) -> None:
        """Args: the host's configuration; its public key is read here, once."""
        self.origin = config.pages_origin
        self._clock = HostClock(config.run_dir)
        self.started_at_ms = self._clock.now_ms()
        self.streams: dict[str, Browser] = {}
        self.viewers: dict[str, set[Browser]] = {}
        self.browsers: set[Browser] = set()
        self._config = config
        self._admission = Admission(
            config.name, config.pages_origin, load_verifier(config.ticket_public_key), self.started_at_ms
        )
        self._empty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self) -> Browser:
        """A protocol for a new connection."""
        browser = Browser(self)
        self.browsers.add(browser)
        return browser

    def admit(self, ticket: str) -> TicketClaims:
        """Burn a ticket. Raises NotAdmitted."""
        return self._admission.admit(ticket, self._clock.now_ms())

    def connect(self, browser: Browser) -> None:
        """Join a browser to its desktop: beside whoever works there to look, else away from them.

        A home's connections are beside each other.

        Raises:
            NoDesktop: there is none.
            NotAdmitted: enough are looking on.
        """
        if browser.view is not None and len(self.viewers.get(browser.slot, ())) >= VIEWERS:
            raise NotAdmitted(TOO_MANY, "too many viewers")
        if browser.ticket:
            link = desktop.connect_files(self._config.run_dir, browser.ticket)
        else:
            link = desktop.connect(self._config.run_dir, browser.slot, self._config.session_uid)
        if browser.view is not None:
            self.viewers.setdefault(browser.slot, set()).add(browser)
        else:
            self._take_over(browser)
        browser.transport.pause_reading()
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._join(browser, link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        kind = "stream" if browser.view is None else "view"
        log.info("%s of slot %s opened, %d now", kind, browser.slot, self._count())

    def _take_over(self, browser: Browser) -> None:
        before = self.streams.get(browser.slot)
        self.streams[browser.slot] = browser
        if before is not None:
            before.close(TAKEN_OVER, "opened elsewhere")

    def _count(self) -> int:
        return len(self.streams) + sum(map(len, self.viewers.values()))

    async def _join(self, browser: Browser, link: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: Desktop(browser), sock=link)
        except OSError as error:
            link.close()
            browser.close(NO_DESKTOP, str(error.strerror))

    def left(self, browser: Browser) -> None:
        """A connection is gone."""
        self.browsers.discard(browser)
        if not self.browsers:
            self._empty.set()
        if self.streams.get(browser.slot) is browser:
            del self.streams[browser.slot]
            log.info("stream of slot %s ended, %d now", browser.slot, self._count())
        elif browser in (looking := self.viewers.get(browser.slot, set())):
            looking.discard(browser)
            if not looking:
                del self.viewers[browser.slot]
            log.info("view of slot %s ended, %d now", browser.slot, self._count())

    def touched(self, browser: Browser) -> None:
        """Somebody typed, clicked or moved the pointer; noted now and then, for the guard to see."""
        if browser.heard_s >= browser.noted_s + NOTE_EVERY_S:
            browser.noted_s = browser.heard_s
            inputs.note(self._config.run_dir, browser.slot)

    def health(self) -> bytes:
        """The body of /healthz."""
        return json.dumps(
            {"ok": True, "streams": self._count(), "started_at_ms": self.started_at_ms}
        ).encode()

    def look_after(self) -> None:
        """Ping all, drop the silent, forget old tickets."""
        oldest = asyncio.get_running_loop().time() - SILENT_S
        for browser in [*self.streams.values(), *chain.from_iterable(self.viewers.values())]:
            if browser.heard_s < oldest:
                browser.transport.abort()
            else:
                browser.ping()
        self._admission.forget_expired(self._clock.now_ms())

    async def drain(self) -> None:
        """Tell every browser to come back with a new ticket, and wait a little for their answers.

        To be called when no connection is accepted any more.
        """
        if not self.browsers:
            return
        self._empty.clear()
        for browser in list(self.browsers):
            browser.close(GOING_AWAY, "the gateway restarts")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), DRAIN_S)


async def serve(config: HostConfig, *, ping_every_s: float = PING_EVERY_S) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        SettingsInvalid: the public key cannot be read.
        OSError: the port is taken.
    """
    loop = asyncio.get_running_loop()
    gateway, stopping = Gateway(config), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await loop.create_server(gateway.accept, config.gateway_bind, config.gateway_port, backlog=512)
    log.info("gateway of host %s listens on %s:%d", config.name, config.gateway_bind, config.gateway_port)
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), ping_every_s)
        except TimeoutError:
            gateway.look_after()
    server.close()
    await gateway.drain()
