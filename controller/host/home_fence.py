"""Which generation of a home a host may write to: one small file per wallet, replaced atomically.

The controller counts a home's generation up whenever another host is to have it. A host that has closed a
home for generation g opens it again only for a later one, and only the host that the controller then names
is asked to: so a home is never writable in two places, whatever broke off in between.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = ".axonos"


@dataclass(frozen=True)
class Fence:
    """What a host knows of a home. Generation 0 is a home from before anything was ever moved."""

    generation: int = 0
    closed: bool = False


def folder(homes_dir: Path, wallet: str) -> Path:
    """Where a wallet's fence and snapshots lie; root's alone."""
    return homes_dir / FOLDER / wallet


def read(homes_dir: Path, wallet: str) -> Fence:
    """The wallet's fence. One that cannot be read stops the caller (ValueError): it must not be guessed."""
    path = folder(homes_dir, wallet) / "fence.json"
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return Fence()
    return Fence(int(data["generation"]), bool(data["closed"]))


def write(homes_dir: Path, wallet: str, fence: Fence) -> None:
    """Replace the fence, on disk before this returns."""
    where = folder(homes_dir, wallet)
    (homes_dir / FOLDER).mkdir(mode=0o700, exist_ok=True)
    where.mkdir(mode=0o700, exist_ok=True)
    new = where / "fence.new"
    with new.open("w") as file:
        file.write(json.dumps(asdict(fence)))
        file.flush()
        os.fsync(file.fileno())
    new.replace(where / "fence.json")
    descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
