"""Where moving homes is measured: two hosts that no controller knows, each with a btrfs volume of its own."""

from __future__ import annotations

import hashlib
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import AxonosError
from controller.host import homes
from controller.host.config import HostConfig, load

WALLET = "0x" + "be" * 20
BLOCK = 4096
FILES = 64


@dataclass(frozen=True)
class Place:
    """One of the two hosts."""

    name: str
    state: Path
    config: HostConfig

    @property
    def home(self) -> Path:
        return self.config.homes_dir / WALLET

    def host(self) -> dict[str, Any]:
        """As a provisioner takes it."""
        own = {
            "axonos_host_program": str(self.state / "axonos-host"),
            "axonos_host_config": str(self.state / "host.toml"),
        }
        return {"name": self.name, "connection": "local", "address": "127.0.0.1", "variables": own}

    def open(self, generation: int, base: str) -> None:
        """Open the home as a start does."""
        homes.ensure(self.config, WALLET, generation, base)


@contextmanager
def open_places(size_mib: int) -> Iterator[tuple[Place, Place]]:
    """Two hosts with room for a home of this size; nothing of them is left afterwards."""
    instance = f"bench-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="axonos-move-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield (_make(stack, folder, "a", instance, size_mib), _make(stack, folder, "b", instance, size_mib))


def _make(stack: ExitStack, folder: Path, name: str, instance: str, size_mib: int) -> Place:
    state, mount, disk = folder / name, folder / name / "homes", folder / f"{name}.btrfs"
    mount.mkdir(parents=True)
    run("truncate", "--size", f"{3 * size_mib + 512}M", str(disk))
    run("mkfs.btrfs", "--quiet", str(disk))
    device = run("losetup", "--find", "--show", str(disk))
    stack.callback(run, "losetup", "--detach", device)
    run("mount", "-o", "noatime", device, str(mount))
    stack.callback(run, "umount", str(mount))
    program = state / "axonos-host"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m controller.host "$@"\n')
    program.chmod(0o755)
    values = {
        "name": name,
        "homes_dir": mount,
        "run_dir": state / "run",
        "controller_url": "http://127.0.0.1:9",
    }
    values |= {"ticket_public_key": "/none", "guard_token": "/none", "pages_origin": "http://localhost"}
    lines = [f'instance = "{instance}"', "[host]", *(f'{key} = "{value}"' for key, value in values.items())]
    (state / "host.toml").write_text("\n".join(lines) + "\n")
    return Place(name, state, load(state / "host.toml"))


def fill(home: Path, size_mib: int, seed: int) -> None:
    """Pseudo-random files: nothing in them can be compressed."""
    source = random.Random(seed)  # noqa: S311 - the same bytes each time
    for number in range(FILES):
        with (home / f"file-{number:03}").open("wb") as file:
            file.write(source.randbytes(size_mib * 1024 * 1024 // FILES))


def change(home: Path, per_mille: int, seed: int) -> None:
    """Write over blocks everywhere in the home, so many in a thousand."""
    source = random.Random(seed)  # noqa: S311
    paths = sorted(home.iterdir())
    blocks = sum(path.stat().st_size for path in paths) // BLOCK
    each = blocks // len(paths)
    for number in source.sample(range(each * len(paths)), blocks * per_mille // 1000):
        with paths[number // each].open("r+b") as file:
            file.seek(number % each * BLOCK)
            file.write(source.randbytes(BLOCK))


def digests(home: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file."""
    return {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(home.iterdir())
    }


def bytes_lost(before: dict[str, tuple[int, str]], home: Path) -> int:
    """Bytes of files that are not as they were."""
    now = digests(home)
    lost = sum(size for name, (size, digest) in before.items() if now.get(name) != (size, digest))
    return lost + sum(size for name, (size, _) in now.items() if name not in before)


def run(*command: str) -> str:
    """What a program says.

    Raises:
        AxonosError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AxonosError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
