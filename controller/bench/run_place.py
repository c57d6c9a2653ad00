"""Where session runs are measured: an instance of its own on this host, with homes that go away again."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.bench import instant_desktop
from controller.errors import AxonosError
from controller.host import firewall
from controller.settings import HostSection

SUBNETS = "10.212.240.0/20"
SUBNETS_AT_ONCE = 256
SESSION_PROGRAM = "/usr/libexec/axonos/desktop"
START_TIMEOUT_S = 60
_GONE = 2**62  # a fencing token nobody is above


@dataclass
class Place:
    """An instance that no controller knows. `state` is what a provisioner takes for its state folder."""

    state: Path
    host: HostSection
    image: str
    instance: str = field(default_factory=lambda: f"bench-{secrets.token_hex(4)}")
    slots: set[int] = field(default_factory=set)

    def start(self, number: int) -> dict[str, Any]:
        """The request that starts the number-th desktop."""
        self.slots.add(number)
        return {
            **self._common(number),
            "subnet_index": number % SUBNETS_AT_ONCE,
            "session": f"bench-{number}",
            "generation": 1,
            "lease_until_ms": time.time_ns() // 1_000_000 + 900_000,
            "image": self.image,
            "config_digest": f"bench:{number:08d}",
            "home": self.home(number).name,
            "gpus": [f"SIM-bench-{number}"],
            "simulated": True,
            "cpus": 1.0,
            "memory_mib": 256,
            "pids": 128,
            "geometry": "1280x800",
            "fresh_start": False,
            "start_timeout_s": START_TIMEOUT_S,
        }

    def stop(self, number: int) -> dict[str, Any]:
        """The request that stops it."""
        return self._common(number) | {"timeout_s": 2}

    def home(self, number: int) -> Path:
        """Its home, one that no wallet has."""
        return self.host.homes_dir / f"0x{self.instance.encode().hex():0<36}{number:04x}"

    def _common(self, number: int) -> dict[str, Any]:
        return {"instance": self.instance, "slot": f"s-{number:012x}", "fencing_token": 1}


@contextmanager
def open_place(host: HostSection, image: str) -> Iterator[Place]:
    """Make the place; everything in it is gone afterwards.

    Args:
        host: this host's section of the configuration; homes are made beside the platform's.
        image: image ID of a desktop that is painted at once.
    """
    state = Path(tempfile.mkdtemp(prefix="axonos-bench-"))
    place = Place(state, host, image)
    try:
        program = state / "venv/bin/axonos-host"
        program.parent.mkdir(parents=True)
        program.symlink_to(Path(sys.executable).with_name("axonos-host"))
        _write_config(place)
        yield place
    finally:
        _clear(place)


@contextmanager
def instant_image(image: str) -> Iterator[str]:
    """The desktop image with a session program that is painted at once; gone afterwards."""
    container = docker("create", "--network", "none", image)
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "desktop"
            program.write_text(f"#!/usr/bin/python3\n{Path(instant_desktop.__file__).read_text()}")
            program.chmod(0o755)
            docker("cp", str(program), f"{container}:{SESSION_PROGRAM}")
        made = docker("commit", container)
    finally:
        docker("rm", container)
    try:
        yield made
    finally:
        # Without this, Docker removes the image it was made of as well, where that has no name.
        # A run that was broken off may have left a container of it that was never started.
        docker("rmi", "--force", "--no-prune", made)


def docker(*arguments: str) -> str:
    """What Docker's program says.

    Raises:
        AxonosError: it failed.
    """
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AxonosError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _write_config(place: Place) -> None:
    section = place.host.model_dump(mode="json", exclude_none=True)
    section |= {"run_dir": str(place.state / "run"), "subnet_pool": SUBNETS}
    lines = [f'instance = "{place.instance}"', "[host]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in section.items()]
    (place.state / "host.toml").write_text("\n".join(lines) + "\n")


def _clear(place: Place) -> None:
    program = str(place.state / "venv/bin/axonos-host")
    for number in sorted(place.slots):
        body = json.dumps(place.stop(number) | {"fencing_token": _GONE, "timeout_s": 0})
        command = [program, "stop", "--config", str(place.state / "host.toml")]
        with suppress(OSError):  # the rest goes in any case
            subprocess.run(command, input=body, capture_output=True, text=True, check=False)
        _delete_home(place.home(number))
    with suppress(OSError):
        firewall.remove(place.instance)
    shutil.rmtree(place.state, ignore_errors=True)


def _delete_home(home: Path) -> None:
    subprocess.run(["btrfs", "subvolume", "delete", str(home)], capture_output=True, check=False)
    shutil.rmtree(home, ignore_errors=True)  # where homes are not on btrfs
