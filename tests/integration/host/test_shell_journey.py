"""One wallet's way with everything real but the clock: a desktop, then a shell on its files, warned, ended."""

import re

import pytest
from hostkit import run
from session_kit import MINUTE, WALLET, make_platform
from shell_kit import Person, Terminal

from controller.guard import clocks
from controller.guard.notify import deliver
from controller.guard.report import parse
from controller.host.folder import was_opened
from controller.host.names import Slot
from controller.services.ports import RunOutcome
from controller.services.sessions import expiry, warnings
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration


class RealHost:
    """Implements `ports.Provisioner` with the host program, and reports what runs as a guard does."""

    def __init__(self, host):
        self.host, self.containers = host, {}

    def run(self, *, playbook, variables, **_):
        action = playbook.removeprefix("session_").removesuffix(".yml")
        request = variables["session_request"]
        answer = self.host.call(action, request)
        if action == "start" and answer["ok"]:
            self.containers[request["slot"]] = answer
        if action == "stop":
            self.containers.pop(request["slot"], None)
        return RunOutcome(answer["ok"], answer, answer.get("code"))

    def seen(self, slot):
        made = self.containers[slot]
        opened = was_opened(Slot(self.host.config, slot).folder)
        return {key: made[key] for key in ("container_id", "started_at_ms")} | {
            "slot": slot,
            "state": "running",
            "finished_at_ms": None,
            "opened": opened,
        }


def obey(shells, answer):
    """What a guard does with its orders for people."""
    orders = parse(answer)
    for clock in orders.clocks:
        assert clocks.show(shells.config, clock, 0)
    return [deliver(shells.config, warn) for warn in orders.warnings]


def test_files_of_a_desktop_a_warning_and_the_bound(shells, database, tmp_path):
    platform = make_platform(
        database,
        instance=shells.config.instance,
        sessions={"image_id": shells.image, "memory_mib_per_gpu": 512},
    )
    platform.provisioner = RealHost(shells)
    platform.add_host()
    platform.credit(WALLET, 15)
    alice = Person(tmp_path)

    desktop = sessions.claim(platform.deps, WALLET, "small")
    platform.work()
    (slot,) = platform.provisioner.containers
    write = "open('/home/axon/results.txt', 'w').write('from the desktop')"
    run("docker", "exec", Slot(shells.config, slot).container, "/usr/bin/python3", "-c", write)
    sessions.end(platform.deps, WALLET, desktop.id)
    platform.work()

    platform.clock.advance(1_000)  # it stands still otherwise, and the later session counts
    sessions.claim(platform.deps, WALLET, "small", kind="ssh", ssh_key=alice.public)
    platform.work()
    ssh = sessions.current(platform.deps, WALLET).ssh
    alice.known.write_text(re.sub("localhost", "127.0.0.1", ssh.known_hosts) + "\n")
    assert sessions.current(platform.deps, WALLET).opened_at_ms is None
    assert alice.ssh(ssh.port, "cat results.txt").stdout == "from the desktop"
    platform.report()
    assert sessions.current(platform.deps, WALLET).opened_at_ms == platform.clock.now_ms()

    terminal = Terminal(alice, ssh.port)
    try:
        terminal.wait_for("$ ")
        platform.pass_time(6 * MINUTE)
        assert warnings.warn(platform.deps) == 1
        assert obey(shells, platform.report()) == [True]
        terminal.wait_for("*** AxonOS: Less than 10 minutes of credit left.")
        platform.pass_time(10 * MINUTE)
        expiry.expire(platform.deps)
        assert sessions.current(platform.deps, WALLET).state == "grace"
        obey(shells, platform.report())
        terminal.type("echo still here")
        terminal.wait_for("still here")
        platform.pass_time(121 * MINUTE)
        expiry.expire(platform.deps)
        platform.work()
        terminal.ended()
        assert "This session ends now. Your files are kept." in terminal.shown.decode()
    finally:
        terminal.close()
    assert sessions.saved(platform.deps, WALLET).reason == "grace period over"
    assert platform.balance() == 0
    assert platform.gpus() == {"free": 8}
    assert (shells.config.homes_dir / WALLET / "results.txt").read_text() == "from the desktop"
