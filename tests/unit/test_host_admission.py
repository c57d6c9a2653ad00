"""Whose key is believed when a machine becomes a host, and what part of the lock it gets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import collection_kit  # noqa: F401
import pytest
from ansible_collections.axonos.platform.plugins.plugin_utils.host_source import archive, lock_of

from controller.adapters.convergence import given
from controller.adapters.ssh_hosts import SshHosts, fingerprint
from controller.errors import BadInput, HostKeyRefused
from controller.services.hosts.admission import Wanted, trust
from controller.services.ports_hosts import SeenGpu

ROOT = Path(__file__).resolve().parents[2]
RIGHT, OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIg=="
WANTED = Wanted("one", "root@10.0.0.1", Path("/key"), "wss://one.example.org")


@dataclass
class Machine:
    """Implements `ports_hosts.NewHosts`: a machine that shows one key."""

    shows: str = RIGHT
    known: dict[str, str] = field(default_factory=dict)

    def host_key(self, address: str) -> str:
        del address
        return self.shows

    def pinned(self, address: str) -> str | None:
        return self.known.get(address)

    def pin(self, address: str, key: str) -> None:
        self.known[address] = key

    def gpus(self, address: str, login_key: Path) -> list[SeenGpu]:
        raise NotImplementedError

    def own_key(self, owner: Path) -> None:
        raise NotImplementedError


def test_a_new_key_needs_somebody_who_vouches_for_it() -> None:
    machine = Machine()
    with pytest.raises(HostKeyRefused, match="nobody has accepted") as refused:
        trust(machine, WANTED, fingerprint)
    assert machine.known == {}
    shown = refused.value.detail["shown"]
    trust(machine, replace(WANTED, host_key=shown), fingerprint)
    assert machine.known == {WANTED.address: RIGHT}
    trust(machine, WANTED, fingerprint)


def test_a_key_that_changes_is_refused_until_the_new_one_is_named() -> None:
    machine = Machine(OTHER, {WANTED.address: RIGHT})
    for wanted in (WANTED, replace(WANTED, accept_new=True), replace(WANTED, host_key=fingerprint(RIGHT))):
        with pytest.raises(HostKeyRefused):
            trust(machine, wanted, fingerprint)
    assert machine.known == {WANTED.address: RIGHT}
    trust(machine, replace(WANTED, host_key=fingerprint(OTHER)), fingerprint)
    assert machine.known == {WANTED.address: OTHER}


def test_a_pinned_key_is_found_again_by_host_and_port(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    reach = SshHosts(tmp_path)
    assert reach.pinned("10.0.0.1") is None
    reach.pin("root@10.0.0.1", RIGHT)
    reach.pin("root@10.0.0.1:2222", OTHER)
    reach.pin("10.0.0.1:2222", RIGHT)
    assert reach.pinned("axonos@10.0.0.1:22") == RIGHT
    assert (tmp_path / "secrets" / "known_hosts").read_text().count("\n") == 2
    with pytest.raises(BadInput, match="no \\[user@\\]address"):
        reach.pinned("10.0.0.1; reboot")


def test_a_host_gets_its_part_of_the_lock_with_hashes() -> None:
    lock = lock_of((ROOT / "requirements.lock").read_text(), ["httpx", "uvloop"])
    names = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert {"httpx", "httpcore", "h11", "idna", "certifi", "anyio", "uvloop"} <= set(names)
    assert not {"flask", "pulumi", "ansible-core"} & set(names)
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", lock.strip()))
    with pytest.raises(ValueError, match=r"not in requirements\.lock: pip"):
        lock_of((ROOT / "requirements.lock").read_text(), ["pip"])


def test_the_same_source_is_the_same_archive() -> None:
    assert archive(str(ROOT), ["controller/guard"], ["httpx"]) == archive(
        str(ROOT), ["controller/guard"], ["httpx"]
    )
    with pytest.raises(ValueError, match="nothing-like-that"):
        archive(str(ROOT), ["nothing-like-that"], ["httpx"])


def test_a_variable_of_the_command_line_keeps_its_kind() -> None:
    assert given("axonos_homes_gib=20") == {"axonos_homes_gib": 20}
    assert given("edge__pages_host=gpu.example.org") == {"edge__pages_host": "gpu.example.org"}
