"""A shell for as long as a `with` block lasts: claimed, reached by OpenSSH with its own key, ended."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from controller.client.answers import Session, Ssh
from controller.client.errors import ApiError, ClientError, NotReady, ShellFailed

PATIENCE_S: Final = 600.0
LOOK_S: Final = 1.0
UNSEEN_S: Final = 20.0  # how long one is waited for that only its wallet may see
OPTIONS: Final = (
    *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "LogLevel=ERROR"),
)
OWN_FAILURE: Final = 255  # of ssh itself; a command's status is below


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    exit_status: int
    stdout: str
    stderr: str


class Claims(Protocol):
    """Who claims the session: a wallet that is signed in (`Axonos`), or one that pays for it (`Payer`)."""

    @property
    def pause(self) -> Callable[[float], None]: ...

    def claim(self, profile: str, *, ssh_key: str, gpu_model: str = "") -> Session: ...

    def current(self) -> Session | None: ...

    def end(self, session_id: str) -> Session: ...


class Shell:
    """A shell session. Whatever happens inside the block, the session is ended when it is left."""

    def __init__(
        self, axonos: Claims, profile: str = "small", *, gpu_model: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        """Args: the site; small, medium, large or max; which GPUs, any by default; how long to wait."""
        self.axonos, self.profile, self.patience_s = axonos, profile, patience_s
        self.gpu_model = gpu_model
        self.session: Session | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="axonos-"))

    def __enter__(self) -> Self:
        try:
            until = time.monotonic() + self.patience_s
            self.session = self._claim(self._new_key(), until)
            self.session = self._wait(until)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session and forget the key."""
        try:
            if self.session is not None:
                self.session = self.axonos.end(self.session.id)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, command: str, *, stdin: str = "") -> Finished:
        """Run a command in the shell.

        Raises:
            ShellFailed: the shell could not be reached.
        """
        at = self._at()
        words = ["ssh", *self._options(at), "-p", str(at.port), "--", f"{at.user}@{at.host}", command]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode == OWN_FAILURE:
            raise ShellFailed(f"ssh: {done.stderr.strip()[-300:]}")
        return Finished(done.returncode, done.stdout, done.stderr)

    def fetch(self, path: str, to: Path) -> None:
        """Copy a file or folder out of the shell; `path` is as in its home.

        Raises:
            ShellFailed: it is not there, or cannot be written here.
        """
        at = self._at()
        words = ["sftp", *self._options(at), "-P", str(at.port), "-b", "-", "--", f"{at.user}@{at.host}"]
        order = f"get -r {_quoted(path)} {_quoted(str(to))}\n"
        done = subprocess.run(words, input=order, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ShellFailed(f"{path} could not be fetched: {done.stderr.strip()[-300:]}")

    def _new_key(self) -> str:
        """A key pair for this one session; the private half never leaves the folder."""
        key = self._folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "agent", "-f", key], check=True)
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])

    def _claim(self, key: str, until: float) -> Session:
        """Claim it; a session of before that is just ending is waited for, any other is left alone."""
        unseen_until = time.monotonic() + UNSEEN_S
        while True:
            try:
                return self.axonos.claim(self.profile, ssh_key=key, gpu_model=self.gpu_model)
            except ApiError as error:
                if error.code != "session_already_live" or time.monotonic() >= until:
                    raise
                live = self.axonos.current()
                if live.state != "ending" if live else time.monotonic() >= unseen_until:
                    raise
            self.axonos.pause(LOOK_S)

    def _wait(self, until: float) -> Session:
        while time.monotonic() < until:
            found = self.axonos.current()
            if found is None:
                raise NotReady(f"The session is over before it was reached. {self._why()}".strip())
            self.session = found
            if found.state == "running" and found.ssh and found.ssh.host_key:
                (self._folder / "known_hosts").write_text(f"{found.ssh.alias} {found.ssh.host_key}\n")
                return found
            self.axonos.pause(LOOK_S)
        raise NotReady(f"No shell within {self.patience_s:g} s. {self._why()}".strip())

    def _why(self) -> str:
        return (self.session.queue_reason or self.session.why) if self.session else ""

    def _at(self) -> Ssh:
        if self.session is None or self.session.ssh is None:
            raise ClientError("Use the shell inside its `with` block.")
        return self.session.ssh

    def _options(self, at: Ssh) -> list[str]:
        own = [f"UserKnownHostsFile={self._folder / 'known_hosts'}", f"HostKeyAlias={at.alias}"]
        return [
            *OPTIONS,
            *(word for option in own for word in ("-o", option)),
            "-i",
            str(self._folder / "key"),
        ]


def _quoted(path: str) -> str:
    """A path as one word of sftp's orders.

    Raises:
        ShellFailed: it cannot be said in one line.
    """
    if "\n" in path or "\r" in path:
        raise ShellFailed("A path with a line break in it cannot be fetched.")
    special = '\\"*?['
    return '"' + "".join(f"\\{sign}" if sign in special else sign for sign in path) + '"'
