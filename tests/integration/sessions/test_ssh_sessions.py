"""Shells through queue, host and meter: keys, ports, where they answer, and what a browser cannot do to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fakes import make_settings
from session_kit import MINUTE, OTHER, WALLET
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from controller.errors import (
    BadInput,
    BadSshKey,
    NotYours,
    SshKeyKnown,
    SshKeyNeeded,
    TooManySshKeys,
    WrongState,
)
from controller.host.request import parse_start
from controller.models import Slot
from controller.services import metrics
from controller.services.money import statement
from controller.services.sessions import expiry, warnings
from controller.services.sessions import facade as sessions
from controller.services.shells import keys as ssh_keys
from controller.services.shells import ports as ssh_ports
from controller.services.shells.access import written

pytestmark = pytest.mark.integration

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0RDBFI1nhR6bMWCTp9Hh0AEYyjI3n3OKaKRXmCsuXo"


def keys(count):
    """That many different keys."""
    for number in range(count):
        public = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32).public_key()
        yield public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_a_shell_runs_with_its_key_its_port_and_its_host_key(platform):
    (key, host_key) = keys(2)
    platform.provisioner.host_key = host_key
    claimed = sessions.claim(platform.deps, WALLET, "medium", kind="ssh", ssh_key=f"{key} me@laptop")
    assert (claimed.kind, claimed.state, claimed.ssh.host_key) == ("ssh", "starting", "")
    platform.work()
    ((_, request),) = platform.provisioner.requests
    asked = parse_start(request)
    assert (asked.kind, asked.ssh_keys, asked.home) == ("ssh", (key,), WALLET)
    now = sessions.current(platform.deps, WALLET)
    assert (now.state, now.ssh.host, now.ssh.port, now.ssh.user) == (
        "running",
        "localhost",
        asked.ssh_port,
        "axon",
    )
    assert now.ssh.host_key == host_key
    assert now.ssh.host_key_fingerprint.startswith("SHA256:")
    assert now.ssh.command == f"ssh -p {asked.ssh_port} axon@localhost"
    platform.pass_time(5 * MINUTE)
    assert platform.balance() == 50 * MINUTE, "two GPUs for five minutes"
    sessions.end(platform.deps, WALLET, now.id)
    platform.work()
    assert platform.gpus() == {"free": 8}
    saved = sessions.saved(platform.deps, WALLET)
    assert (saved.kind, saved.profile) == ("ssh", "medium")
    sessions.claim(platform.deps, WALLET, "medium")
    platform.work()
    assert parse_start(platform.provisioner.requests[-1][1]).kind == "desktop"


def test_a_session_says_when_it_ends_and_what_it_is(platform):
    """In its view, in the operator's list and figures, and in the statement."""
    (key,) = keys(1)
    view = sessions.claim(platform.deps, WALLET, "medium", kind="ssh", ssh_key=key)
    assert view.ends_at_ms is None
    platform.work()
    platform.log_in()
    ready = sessions.current(platform.deps, WALLET).ready_at_ms
    assert sessions.current(platform.deps, WALLET).ends_at_ms == ready + 30 * MINUTE, "60 minutes on two GPUs"
    platform.pass_time(10 * MINUTE)
    assert sessions.current(platform.deps, WALLET).ends_at_ms == ready + 30 * MINUTE
    assert 'axonos_sessions{kind="shell",state="running"} 1' in metrics.text(platform.deps)
    line, *_ = statement.statement(platform.deps, WALLET, 1)
    assert (line.kind, line.why["kind"]) == ("use", "ssh")
    platform.pass_time(25 * MINUTE)
    expiry.expire(platform.deps)
    graced = sessions.current(platform.deps, WALLET)
    assert (graced.state, graced.ends_at_ms) == ("grace", graced.grace_until_ms)
    ended = sessions.end(platform.deps, WALLET, view.id)
    assert ended.ends_at_ms is None


def test_nobody_has_to_watch_a_shell_and_no_browser_can_end_it_by_closing(platform):
    (key,) = keys(1)
    view = sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=key)
    platform.work()
    sessions.heartbeat(platform.deps, WALLET, view.id)
    sessions.close(platform.deps, WALLET, view.id)
    for verb in (sessions.attach, sessions.stream):
        with pytest.raises(WrongState):
            verb(platform.deps, WALLET, view.id)
    platform.log_in()
    for _ in range(10):
        platform.pass_time(3 * MINUTE)
        expiry.expire(platform.deps)
    assert sessions.current(platform.deps, WALLET).state == "running"


def test_the_whole_list_may_log_in_unless_a_key_is_named(platform):
    first, second, third = keys(3)
    with pytest.raises(SshKeyNeeded):
        sessions.claim(platform.deps, WALLET, "small", kind="ssh")
    added = ssh_keys.add_key(platform.deps, WALLET, f"{first} laptop")
    ssh_keys.add_key(platform.deps, WALLET, second, "work")
    view = sessions.claim(platform.deps, WALLET, "small", kind="ssh")
    platform.work()
    assert platform.provisioner.requests[-1][1]["ssh_keys"] == [first, second]
    sessions.end(platform.deps, WALLET, view.id)
    platform.work()
    sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=added.id)
    platform.work()
    assert platform.provisioner.requests[-1][1]["ssh_keys"] == [first]
    assert third not in str(platform.provisioner.requests)


def test_a_key_list_is_its_wallets_alone(platform):
    first, second = keys(2)
    platform.credit(OTHER, 60)
    mine = ssh_keys.add_key(platform.deps, WALLET, first)
    assert ssh_keys.list_keys(platform.deps, OTHER) == []
    for attack in (
        lambda: ssh_keys.remove_key(platform.deps, OTHER, mine.id),
        lambda: ssh_keys.rename_key(platform.deps, OTHER, mine.id, "theirs"),
        lambda: sessions.claim(platform.deps, OTHER, "small", kind="ssh", ssh_key=mine.id),
    ):
        with pytest.raises(NotYours):
            attack()
    assert ssh_keys.rename_key(platform.deps, WALLET, mine.id, " desk ").name == "desk"
    with pytest.raises(SshKeyKnown):
        ssh_keys.add_key(platform.deps, WALLET, f"{first} again")
    ssh_keys.add_key(platform.deps, OTHER, first)
    for name in ("", "x" * 61, "a\nb", "\x1b[2J"):
        with pytest.raises(BadInput):
            ssh_keys.rename_key(platform.deps, WALLET, mine.id, name)
    ssh_keys.remove_key(platform.deps, WALLET, mine.id)
    assert [key.public_key for key in ssh_keys.list_keys(platform.deps, OTHER)] == [first]
    assert second not in str(ssh_keys.list_keys(platform.deps, WALLET))


def test_a_list_is_bounded(platform):
    *most, last = keys(ssh_keys.MAX_KEYS + 1)
    for key in most:
        ssh_keys.add_key(platform.deps, WALLET, key)
    with pytest.raises(TooManySshKeys):
        ssh_keys.add_key(platform.deps, WALLET, last)


@pytest.mark.parametrize(
    "pasted",
    [f'command="sh" {KEY}', f"{KEY}\n{KEY}", "ssh-rsa AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\n"],
)
def test_a_claim_takes_no_hostile_key(platform, pasted):
    with pytest.raises(BadSshKey):
        sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=pasted)
    with pytest.raises(BadInput):
        sessions.claim(platform.deps, WALLET, "small", kind="console")
    assert platform.rows("SELECT 1 FROM gpu_session") == []


def test_every_shell_of_a_host_has_a_port_of_its_own_and_the_database_says_so(platform):
    (key,) = keys(1)
    wallets = [f"0x{number:040x}" for number in range(1, 9)]
    for wallet in wallets:
        platform.credit(wallet, 60)
        sessions.claim(platform.deps, wallet, "small", kind="ssh", ssh_key=key)
    ports = [port for (port,) in platform.rows("SELECT ssh_port FROM slot")]
    assert len(set(ports)) == 8
    assert all(22_000 <= port <= 23_999 for port in ports)
    with pytest.raises(IntegrityError, match="uq_slot_ssh_port"), platform.deps.database.begin() as db:
        db.execute(text("UPDATE slot SET ssh_port = (SELECT min(ssh_port) FROM slot)"))


def test_a_full_range_is_used_to_its_last_port(platform):
    """However the search begins, no port is left out and none is given twice."""
    few = replace(platform.deps, settings=make_settings(ssh={"port_from": 30_000, "port_to": 30_063}))
    with platform.deps.database.begin() as db:
        given = []
        for number in range(64):
            slot = Slot(
                id=f"s-{number:012x}", host="local", state="up", subnet_index=number,
                config_digest="x", lease_until_ms=1, created_at_ms=1,
            )  # fmt: skip
            db.add(slot)
            ssh_ports.give(few, db, slot)
            given.append(slot.ssh_port)
    assert sorted(given) == list(range(30_000, 30_064))


def test_what_is_copied_names_the_home_and_not_the_port():
    shown = written("gpu1.example", 22_017, KEY, "axonos-0x12345678")
    assert "HostKeyAlias axonos-0x12345678" in shown.config
    assert shown.known_hosts == f"axonos-0x12345678,[gpu1.example]:22017 {KEY}"
    assert written("gpu1.example", 22_017, "", "a").known_hosts == ""


def test_the_first_login_is_remembered_and_only_for_shells_of_the_host_that_says_so(platform):
    (key,) = keys(1)
    view = sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=key)
    platform.credit(OTHER, 60)
    desktop = sessions.claim(platform.deps, OTHER, "small")
    platform.work()
    platform.add_host("elsewhere")

    def report(host):
        seen = [
            platform.provisioner.seen(slot) | {"opened": True} for slot in platform.provisioner.containers
        ]
        return platform.report(host, slots=seen)

    report("elsewhere")
    assert sessions.current(platform.deps, WALLET).opened_at_ms is None
    first = platform.clock.now_ms()
    report("local")
    platform.clock.advance(5_000)
    report("local")
    assert sessions.current(platform.deps, WALLET).opened_at_ms == first
    assert sessions.current(platform.deps, OTHER).opened_at_ms is None
    assert view.id != desktop.id


def test_a_host_is_told_how_long_its_shells_go_on(platform):
    (key,) = keys(1)
    sessions.claim(platform.deps, WALLET, "medium", kind="ssh", ssh_key=key)
    platform.work()
    (slot,) = platform.provisioner.containers
    platform.log_in()
    platform.pass_time(5 * MINUTE)
    assert platform.report()["clocks"] == [
        {"slot": slot, "state": "running", "empty_in_ms": 25 * MINUTE, "ends_in_ms": 145 * MINUTE}
    ]
    platform.pass_time(26 * MINUTE)
    expiry.expire(platform.deps)
    assert platform.report()["clocks"] == [
        {"slot": slot, "state": "grace", "empty_in_ms": 0, "ends_in_ms": 119 * MINUTE}
    ]
    platform.credit(OTHER, 60)
    sessions.claim(platform.deps, OTHER, "small")
    platform.work()
    assert len(platform.report()["clocks"]) == 1, "desktops have their footer"


def test_a_shell_is_warned_and_ends_at_its_bound(platform):
    (key,) = keys(1)
    sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=key)
    platform.work()
    platform.log_in()
    platform.pass_time(51 * MINUTE)
    assert warnings.warn(platform.deps) == 1
    (warning,) = platform.report()["warnings"]
    assert "10 minutes" in warning["text"]
    platform.pass_time(10 * MINUTE)
    expiry.expire(platform.deps)
    assert sessions.current(platform.deps, WALLET).state == "grace"
    platform.pass_time(120 * MINUTE)
    expiry.expire(platform.deps)
    platform.work()
    assert sessions.current(platform.deps, WALLET) is None
    assert sessions.saved(platform.deps, WALLET).reason == "grace period over"
    assert (platform.balance(), platform.gpus()) == (0, {"free": 8})
