"""Sends a home's snapshot to standard output, and takes one from standard input.

Sending with `close` ends this host's right to the home before anything leaves it: fence, then read-only, then
the snapshot. Each step can be cut off and done again; until the controller names the other host as the
home's, that one holds a snapshot and nothing writable.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Any

from controller.host import home_fence, home_snapshots, home_stream, hostkeys
from controller.host.config import HostConfig
from controller.host.home_fence import Fence
from controller.host.home_request import ForgetRequest, ListRequest, ReceiveRequest, SendRequest
from controller.host.leases import Leases
from controller.host.words import HostRefused


def list_(config: HostConfig, request: ListRequest) -> dict[str, Any]:
    """What this host has of a home: its snapshots by name, and the generation it knows."""
    fence = home_fence.read(config.homes_dir, request.home)
    where = home_fence.folder(config.homes_dir, request.home)
    found = home_snapshots.listed(where) if where.is_dir() else {}
    return {"ok": True, "snapshots": found, "generation": fence.generation, "closed": fence.closed}


def send(config: HostConfig, request: SendRequest, out: IO[bytes]) -> None:
    """Send a home's snapshot, against the newest one that the other host has too.

    A refusal goes the same way as the home, as the stream's last frame.
    """
    writer = home_stream.Writer(out)
    try:
        answer = _send(config, request, writer)
        answer["host_key"] = hostkeys.read(config, request.home)
    except HostRefused as refused:
        answer = refused.answer()
    writer.end(answer)


def _send(config: HostConfig, request: SendRequest, writer: home_stream.Writer) -> dict[str, Any]:
    home = config.homes_dir / request.home
    with home_snapshots.alone(config.homes_dir, request.home) as where:
        if request.close:
            _close(config, request, home)
        identity = home_snapshots.take(_whole(config, request, where), where, request.name)
        parent = _parent(where, request)
        _stream(where / request.name, parent, writer)
    said = {"name": request.name, "identity": identity, "parent": parent.name if parent else None}
    return {"ok": True, **said}


def _whole(config: HostConfig, request: SendRequest, where: Path) -> Path:
    """What the snapshot is of: the home, or what it was put away as. What an owner kept is there already."""
    home = config.homes_dir / request.home
    if request.name.startswith(home_snapshots.OWN):
        there = request.name in home_snapshots.listed(where)
    elif request.name.startswith(home_snapshots.PUT_AWAY):
        home = where / home_snapshots.PUT_AWAY
        there = home.is_dir() or request.name in home_snapshots.listed(where)
    else:
        there = home.is_dir() or (where / request.name).is_dir()
    if not there:
        raise HostRefused("home_missing", f"this host has no {request.name} of {request.home}")
    return home


def _close(config: HostConfig, request: SendRequest, home: Path) -> None:
    leases = Leases(config.run_dir)
    with leases.changing():
        if any(lease.home == request.home for lease in leases.all()):
            raise HostRefused("volume_busy", "the home is in use on the host it is to leave")
        fence = home_fence.read(config.homes_dir, request.home)
        if fence.generation > request.generation or (
            fence.generation == request.generation and not fence.closed
        ):
            raise HostRefused("home_fenced", f"this host knows generation {fence.generation} of the home")
        home_fence.write(config.homes_dir, request.home, Fence(request.generation, closed=True))
    if home.is_dir() and not home_snapshots.is_read_only(home):
        home_snapshots.set_read_only(home)


def _parent(where: Path, request: SendRequest) -> Path | None:
    """The newest snapshot that both hosts have, by when it came here."""
    here = home_snapshots.listed(where)
    common = [name for name, identity in request.have.items() if here.get(name) == identity != ""]
    common = [name for name in common if name != request.name]
    return max((where / name for name in common), key=_noted_at, default=None)


def _noted_at(snapshot: Path) -> int:
    return snapshot.with_name(f"{snapshot.name}.ok").stat().st_mtime_ns


def _stream(snapshot: Path, parent: Path | None, writer: home_stream.Writer) -> None:
    against = ["-p", str(parent)] if parent else []
    command = ["btrfs", "send", "--quiet", *against, str(snapshot)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            while data := process.stdout.read(home_stream.FRAME):
                writer.write(data)
        except BaseException:
            process.kill()
            raise
        said = process.stderr.read().decode(errors="replace").strip()[-300:]
    if process.returncode:
        raise HostRefused("home_broken_off", f"btrfs send: {said}")


def receive(config: HostConfig, request: ReceiveRequest, source: IO[bytes]) -> dict[str, Any]:
    """Take a snapshot from another host; it counts only when all of it has come.

    Returns:
        the sender's words, and how many bytes came.

    Raises:
        HostRefused: home_broken_off, disk_full, or what the sender refused with.
    """
    with home_snapshots.alone(config.homes_dir, request.home) as where:
        if request.name in home_snapshots.listed(where):
            raise HostRefused("config_conflict", f"snapshot {request.name} is here already")
        home_snapshots.remove(where, request.name)
        try:
            answer = _take(where, request.name, home_stream.Reader(source))
            # Out of what is told to the controller, and kept before the home that needs it counts.
            if secret := answer.pop("host_key", None):
                hostkeys.place(config, request.home, str(secret))
        except BaseException:
            home_snapshots.remove(where, request.name)
            raise
        home_snapshots.note(where, request.name, answer["identity"])
    return {**answer, "ok": True, "changed": True}


def _take(where: Path, name: str, reader: home_stream.Reader) -> dict[str, Any]:
    """Everything of the stream, and the snapshot it made compared with what was announced."""
    _feed(where, reader)
    answer = reader.answer or {}
    if answer.get("name") != name or answer["identity"] != home_snapshots.uuid_of(where / name):
        raise HostRefused("home_broken_off", "another snapshot came than was announced")
    return answer


def _feed(where: Path, reader: home_stream.Reader) -> None:
    """Feed `btrfs receive`, which cannot leave the folder: the stream is another host's word."""
    command = ["btrfs", "receive", "--quiet", "--chroot", str(where)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for data in reader:
                process.stdin.write(data)
            process.stdin.close()
        except BrokenPipeError:
            pass  # its own words say why
        except BaseException:
            process.kill()
            raise
        said = process.stderr.read().decode(errors="replace").strip()[-300:]
    if process.returncode:
        full = "No space left" in said or "quota exceeded" in said.lower()
        raise HostRefused("disk_full" if full else "home_broken_off", f"btrfs receive: {said}")


def forget(config: HostConfig, request: ForgetRequest) -> dict[str, Any]:
    """Remove all snapshots of a home but those named."""
    with home_snapshots.alone(config.homes_dir, request.home) as where:
        gone = home_snapshots.keep_only(where, set(request.keep))
    return {"ok": True, "changed": bool(gone), "removed": gone}
