"""Takes an image that comes through a pipe into the host's engine, if it is the one the platform signed.

The archive is checked as a file, before the engine sees any of it; what is there already is not sent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.request import COMMON, Check, checked, matches, whole
from controller.host.words import HostRefused
from images.desktop.signature import ImageUnverified, check

LOAD_S = 900
MARGIN_BYTES = 256 << 20
_IMAGE = matches(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class LoadRequest:
    """An image by ID, the platform's signature of that ID, and how many bytes of archive follow."""

    instance: str
    image_id: str
    signature: str
    bytes: int


def parse(data: Any) -> LoadRequest:
    """Check it. Raises HostRefused bad_input."""
    fields: dict[str, Check] = {
        "instance": COMMON["instance"],
        "image_id": _IMAGE,
        "signature": matches(r"[A-Za-z0-9+/=]{1,200}"),
        "bytes": whole(0, 2**40),
    }
    return LoadRequest(**checked(data, fields))


def load(config: HostConfig, request: LoadRequest, source: IO[bytes]) -> dict[str, Any]:
    """Have the image, under the platform's own name.

    Args:
        config: of this host.
        request: which image; `bytes` of 0 only asks whether it is there.
        source: the archive's bytes.

    Raises:
        HostRefused: image_missing (nothing came), image_unverified, disk_full, docker_error.
    """
    there = _is_there(request.image_id)
    if not there:
        if not request.bytes:
            raise HostRefused("image_missing", f"{request.image_id} is not on this host")
        with _kept(config, request, source) as archive:
            _verified(archive, request, config.ticket_public_key)
            _run("docker", "load", "--quiet", "--input", str(archive))
        if not _is_there(request.image_id):
            raise HostRefused("image_unverified", "the engine made another image of the archive")
    name = f"axonos/{config.instance}-desktop:{request.image_id.removeprefix('sha256:')[:12]}"
    _run("docker", "tag", request.image_id, name)  # an image without a name would be swept away by a prune
    return {"ok": True, "changed": not there, "image_id": request.image_id}


@contextmanager
def _kept(config: HostConfig, request: LoadRequest, source: IO[bytes]) -> Iterator[Path]:
    """The archive as a file that nobody else can change."""
    folder = config.homes_dir.parent / "images"
    free = shutil.disk_usage(folder).free
    if free < request.bytes + MARGIN_BYTES:
        raise HostRefused("disk_full", f"the image has {request.bytes} bytes, {free} are free")
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".coming-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            left = request.bytes
            while left and (data := source.read(min(left, 1 << 20))):
                file.write(data)
                left -= len(data)
        if left:
            raise HostRefused("image_broken_off", f"{left} bytes of the image did not come")
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _verified(archive: Path, request: LoadRequest, key: Path) -> None:
    try:
        found = check(archive, request.signature, key)
    except ImageUnverified as error:
        raise HostRefused("image_unverified", str(error)) from error
    if found != request.image_id:
        raise HostRefused("image_unverified", f"the archive holds {found}, not {request.image_id}")


def _is_there(image_id: str) -> bool:
    with Engine() as engine:
        try:
            engine.call("GET", f"/images/{image_id}/json")
        except EngineRefused as error:
            if error.status == 404:
                return False
            raise HostRefused("docker_error", error.message) from error
    return True


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise HostRefused("timeout", f"{command[1]} took longer than {LOAD_S} s") from error
    if done.returncode:
        raise HostRefused("docker_error", done.stderr.strip()[-300:])
