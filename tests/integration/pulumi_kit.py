"""A small stack of its own for each test: a playbook of two files, a network and a volume on the real engine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from infra import engine
from infra.built_image import BuiltImage
from infra.plugins import sdk_version
from infra.pulumi_cli import ensure_cli
from infra.stack_config import StackConfig, stack_config
from infra.summary import Summary

ROOT = Path(__file__).resolve().parents[2]

PLAYBOOK = """
- name: Converge
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the greeting
      ansible.builtin.copy: {dest: "{{ out }}/greeting", content: "hello\\n", mode: "0644"}
    - name: Write the settings
      ansible.builtin.copy: {dest: "{{ out }}/settings", content: "a = 1\\n", mode: "0644"}
"""

# Waits, without being noticed by a check, for as long as a file named `hold` lies there.
SLOW = """
    - name: Wait for the slow part
      ansible.builtin.wait_for: {path: "{{ out }}/hold", state: absent, timeout: 60, sleep: 1}
"""


@dataclass
class World:
    """One instance: its folders, its configuration, what it told."""

    cli: Path
    folder: Path
    instance: str
    told: list[str] = field(default_factory=list)
    # A stack of one machine at which nobody listens, instead of this one.
    far: bool = False

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def playbook(self) -> Path:
        return self.folder / "playbooks" / "site.yml"

    def config(self, **more: Any) -> StackConfig:
        site = {"name": "site", "path": self.playbook, "variables": {"out": str(self.out)}}
        values: dict[str, Any] = {
            "instance": self.instance,
            "state_dir": self.folder / "state",
            "run_dir": self.folder / "run",
            "hosts": [{"name": "local"}],
            "playbooks": [site],
        }
        if self.far:
            host = {"name": "far", "connection": "ssh", "port": 1, "gateway_url": "wss://far"}
            values |= {"stack": "far", "kind": "metal", "hosts": [host]}
        return stack_config(**{**values, **more})

    def up(self, **more: Any) -> Summary:
        self.told.clear()
        done = engine.up(self.config(), cli=self.cli, report=self._tell, **more)
        print(f"up: {done.changes} in {done.seconds:.1f} s")
        return done

    def _tell(self, line: str) -> None:
        print(f"{time.monotonic():.1f} {line}")
        self.told.append(line)

    def start(self, operation: str = "up", project: Path = ROOT, options: str = "") -> subprocess.Popen[str]:
        """The same operation in a process of its own, told lines on its standard output.

        Operations that fail run here: Pulumi's SDK leaves an open event loop behind when the engine stops first.
        """
        self.config().save()
        program = f"""
            import json, sys
            from pathlib import Path
            import pulumi_kit
            from infra import engine
            from infra.errors import InfraError
            from infra.stack_config import saved_config
            tell = lambda line: print(line, flush=True)
            try:
                config = saved_config(Path(sys.argv[1]), {self.config().stack!r})
                done = engine.{operation}(config, cli=Path(sys.argv[2]), report=tell{options and f", {options}"})
                print("DONE " + json.dumps(done.as_json()))
            except InfraError as error:
                print(f"ERROR {{error.code}} {{error.message}}")
                sys.exit(1)
        """
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(self.folder / "state"), str(self.cli)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{project}:{Path(__file__).parent}"},
        )

    @property
    def network(self) -> str:
        return f"axonos-{self.instance}-verification"

    @property
    def volume(self) -> str:
        return f"axonos-{self.instance}-homes"

    def in_docker(self) -> list[str]:
        """Names of this instance's objects in the engine."""
        client = docker.from_env()
        try:
            networks = [n.name for n in client.networks.list() if self.instance in str(n.name)]
            volumes = [v.name for v in client.volumes.list() if self.instance in str(v.name)]
            tags = [tag for i in client.images.list() for tag in i.tags if self.instance in tag]
            return sorted(map(str, [*networks, *volumes, *tags]))
        finally:
            client.close()


@pytest.fixture(scope="session")
def pulumi_cli() -> Path:
    """The CLI, got the product's own way and kept for the next run of the tests."""
    return ensure_cli(ROOT / ".build" / "tools", print)


@pytest.fixture
def world(tmp_path: Path, pulumi_cli: Path) -> Iterator[World]:
    with a_world(tmp_path, pulumi_cli) as made:
        yield made


@contextlib.contextmanager
def a_world(folder: Path, cli: Path) -> Iterator[World]:
    """A stack of its own below a folder; nothing of it is left in the engine."""
    made = World(cli=cli, folder=folder, instance=f"pt{secrets.token_hex(3)}")
    made.playbook.parent.mkdir()
    made.playbook.write_text(PLAYBOOK)
    made.out.mkdir()
    (folder / "state" / "homes").mkdir(parents=True)
    # The decision a machine without a way out comes to, without waiting for it in every test.
    tools = folder / "state" / "tools"
    tools.mkdir()
    (tools / "docker-provider.json").write_text(f'{{"version": "{plugin_version()}", "official": false}}')
    yield made
    sweep(made)


def save_image(folder: Path, name: str) -> BuiltImage:
    """An archive of a one-file image that is nowhere in Docker."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        member = tarfile.TarInfo("name")
        member.size = len(name)
        tar.addfile(member, io.BytesIO(name.encode()))
    client = docker.from_env()
    image_id = json.loads(client.api.import_image_from_data(layer.getvalue()).splitlines()[-1])["status"]
    archive = folder / f"{name}.tar"
    archive.write_bytes(b"".join(client.images.get(image_id).save()))
    client.images.remove(image_id)
    client.close()
    return BuiltImage(image_id=image_id, archive=archive)


def failed_build() -> Future[BuiltImage]:
    """An image whose build did not succeed."""
    building: Future[BuiltImage] = Future()
    building.set_exception(RuntimeError("no space left for the image"))
    return building


def plugin_version(name: str = "docker") -> str:
    return sdk_version(name)


def sweep(world: World) -> None:
    """Remove what a failed test left in the engine."""
    client = docker.from_env()
    with contextlib.suppress(docker.errors.NotFound):
        client.networks.get(world.network).remove()
    with contextlib.suppress(docker.errors.NotFound):
        client.volumes.get(world.volume).remove()
    for image in client.images.list():
        for tag in image.tags:
            if world.instance in tag:
                client.images.remove(tag, force=True)
    client.close()
