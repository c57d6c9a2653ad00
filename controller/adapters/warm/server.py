"""The warm server's loop: forks a child for each connection, and ends it when its client went away.

Its keeper holds the other end of standard input: the word `drain` there, and the server ends after the runs
in work; the end of it, and the server and its runs end at once, since nobody is left to hear of them. On
standard output it says `ready`, `stale` (what it loaded changed) and `worn` (it is old or large).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from controller.adapters.warm import child, processes
from controller.adapters.warm.loaded import Loaded, load

MAX_RSS_MIB = 512
AT_ONCE = 32  # more wait in the socket's backlog
_SUBREAPER = 36  # prctl: children of a killed run come to us, not to process 1


@dataclass
class Server:
    """One server, bound to its socket."""

    ready: Loaded
    listener: socket.socket
    control: int
    wake: int
    max_runs: int
    runs: dict[int, socket.socket | None] = field(default_factory=dict)
    begun: int = 0
    draining: bool = False
    said: set[str] = field(default_factory=set)

    def serve(self) -> None:
        """Until it is drained."""
        while not (self.draining and not self.runs):
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            poll.register(self.wake, select.POLLIN)
            if not self.draining and len(self.runs) < AT_ONCE:
                poll.register(self.listener, select.POLLIN)
            for connection in filter(None, self.runs.values()):
                poll.register(connection, select.POLLRDHUP)
            happened = dict(poll.poll())
            if self.wake in happened:
                os.read(self.wake, 4096)
                self._reap()
            if self.control in happened:
                self._hear()
            self._hang_up(happened)
            if self.listener.fileno() in happened:
                self._accept()

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setblocking(True)
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", packed)[1] != os.geteuid():
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self._be_child(connection)
        self.runs[pid] = connection
        self.begun += 1
        if self.begun >= self.max_runs or _rss_mib() > MAX_RSS_MIB:
            self._say("worn")

    def _be_child(self, connection: socket.socket) -> NoReturn:
        """In the fork: let go of everything of the server, then do the run."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1):  # the keeper's; the client's come with the request
                os.dup2(null, number)
            for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - the listing's own is among them
                if number > 2 and number != connection.fileno():
                    with contextlib.suppress(OSError):
                        os.close(number)
            child.serve(connection, self.ready)
        except BaseException:  # noqa: BLE001 - nothing of the server may go on in the fork
            traceback.print_exc()  # on the run's terminal
        finally:
            os._exit(child.REFUSED)

    def _reap(self) -> None:
        """Tell clients whose runs have ended; take away whatever else ended below us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.runs:
                self._ended(self.runs.pop(pid), os.waitstatus_to_exitcode(status))

    def _ended(self, connection: socket.socket | None, code: int) -> None:
        if code == child.STALE:
            self._say("stale")
        if code < 0:
            processes.kill_strays(set(self.runs))
        if connection is not None:
            with connection, contextlib.suppress(OSError):  # its client may have gone away
                if code < 0:
                    connection.sendall((128 - code).to_bytes(2, "big"))

    def _hang_up(self, happened: dict[int, int]) -> None:
        """A client that went away was killed: its run ends with it, as a real ansible-playbook would have."""
        for pid, connection in self.runs.items():
            if connection is not None and happened.get(connection.fileno()):
                connection.close()
                self.runs[pid] = None
                processes.kill_tree(pid)

    def _hear(self) -> None:
        words = os.read(self.control, 4096)
        if not words:
            for pid in self.runs:
                processes.kill_tree(pid)
            os._exit(0)
        self.draining = True
        self.listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # nobody who was let in is sent away
            while True:
                self._accept()
        self.listener.close()

    def _say(self, word: str) -> None:
        if word not in self.said:
            self.said.add(word)
            print(word, flush=True)  # noqa: T201 - the keeper reads it


def main(playbooks: Path, folder: Path, name: str, max_runs: int) -> None:
    """Load, bind, serve.

    Args:
        playbooks: their folder.
        folder: where the socket is made; nobody else may enter it.
        name: the socket's.
        max_runs: after so many runs it asks to be replaced.
    """
    os.chdir(folder)  # a socket's path may hold 107 bytes
    wake, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the keeper decides
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    ready = load(playbooks)
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o177)
    listener.bind(name)
    listener.listen(64)
    server = Server(ready, listener, sys.stdin.fileno(), wake, max_runs)
    server._say("ready")  # noqa: SLF001
    server.serve()


def _rss_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
