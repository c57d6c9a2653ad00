"""One small file per slot: until when its container may run, and the newest fencing token seen.

Files are replaced atomically. A tombstone outlives a stopped slot, so that a start which was delayed on
its way cannot bring the slot back.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from controller.host.names import SLOT

TOMBSTONE_LIFE_S = 24 * 3600


@dataclass(frozen=True)
class Lease:
    """A slot's right to run until an instant of the controller's clock (`host/steady.py`)."""

    slot: str
    session: str
    generation: int
    fencing_token: int
    until_ms: int
    config_digest: str
    subnet_index: int
    home: str
    gpus: tuple[str, ...]


class Leases:
    """The lease files of one instance."""

    def __init__(self, run_dir: Path) -> None:
        """Args: the instance's run folder."""
        self._dir = run_dir / "leases"
        self._graves = self._dir / "stopped"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a slot's lock against other processes; the kernel releases it when one is killed.

        Lock files are never removed (a waiter would hold an unlinked one), so names share 256 of them.
        """
        with self._flock(f".lock-{name[-2:]}"):
            yield

    def is_locked(self, slot: str) -> bool:
        """Whether a start or stop of the slot is under way."""
        try:
            descriptor = os.open(self._dir / f".lock-{slot[-2:]}", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock of all lease files, for as long as a check and a write take."""
        with self._flock(".lock"):
            yield

    @contextmanager
    def _flock(self, name: str) -> Iterator[None]:
        self._graves.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read(self, slot: str) -> Lease | None:
        """The slot's lease; None if it has none, or one that cannot be read."""
        try:
            data = json.loads((self._dir / f"{slot}.json").read_text())
            values = {field.name: data[field.name] for field in fields(Lease)}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Lease(**{**values, "gpus": tuple(values["gpus"])})

    def all(self) -> list[Lease]:
        """Every lease that can be read."""
        names = sorted(path.stem for path in self._dir.glob("s-*.json") if SLOT.fullmatch(path.stem))
        return [lease for name in names if (lease := self.read(name)) is not None]

    def write(self, lease: Lease) -> None:
        """Replace the slot's file, whole or not at all; to be called while `changing`."""
        _replace(self._dir / f"{lease.slot}.json", json.dumps(asdict(lease)))

    def newest_token(self, slot: str) -> int:
        """The newest fencing token this host has seen for a slot, -1 for none."""
        lease = self.read(slot)
        return max(lease.fencing_token if lease else -1, self.stopped_token(slot))

    def stopped_token(self, slot: str) -> int:
        """The fencing token the slot was stopped with, -1 if it was not."""
        try:
            return int((self._graves / slot).read_text())
        except (OSError, ValueError):
            return -1

    def bury(self, slot: str, token: int) -> None:
        """Remove the lease and remember that the slot is over."""
        self._graves.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.changing():
            newest = str(max(token, self.newest_token(slot)))
            try:
                _replace(self._graves / slot, newest)
            except OSError:  # a full disk: the lease's own room has to do
                _overwrite(self._dir / f"{slot}.json", newest)
                (self._dir / f"{slot}.json").replace(self._graves / slot)
            (self._dir / f"{slot}.json").unlink(missing_ok=True)
        self._sweep()

    def forget(self, slot: str) -> None:
        """Remove the lease alone: the same start may be tried again."""
        with self.changing():
            (self._dir / f"{slot}.json").unlink(missing_ok=True)

    def renew(self, slot: str, token: int, until_ms: int) -> bool:
        """Let a slot run on until an instant; false if the slot is over or the token is stale."""
        with self.changing():
            lease = self.read(slot)
            if lease is None or token < lease.fencing_token:
                return False
            self.write(replace(lease, fencing_token=token, until_ms=until_ms))
        return True

    def _sweep(self) -> None:
        oldest = time.time() - TOMBSTONE_LIFE_S
        for grave in [*self._graves.iterdir(), *self._dir.glob("*.new")]:
            with suppress(FileNotFoundError):
                if grave.stat().st_mtime < oldest:
                    grave.unlink()


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text)
        new.chmod(0o600)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _overwrite(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)
        file.truncate()
