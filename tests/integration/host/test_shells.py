"""Shells on a real Docker engine with a real SSH server and client: who gets in, what they find, how it ends."""

import json
import socket
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostkit import run
from shell_kit import Person, Terminal

from controller.guard import clocks
from controller.guard.notify import deliver
from controller.guard.report import Clock, Warn

pytestmark = pytest.mark.integration


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def alice(tmp_path):
    return Person(tmp_path)


def shell(person, port, **changes):
    return {
        "kind": "ssh",
        "ssh_keys": [person.public],
        "ssh_port": port,
        "ssh_host": "gpu1.example",
    } | changes


def test_a_client_that_knows_the_home_s_key_logs_in_and_finds_its_files(shells, alice):
    home = shells.home()
    port = free_port()
    answer = shells.started(**shell(alice, port))
    alice.trust(answer, port)
    assert {"greets_ms", "answers_ms"} <= answer["stages"].keys()
    (home / "from-a-desktop").write_text("kept\n")
    said = alice.ssh(port, "cat from-a-desktop; id -u; echo written > from-a-shell; echo $AXONOS_GPUS")
    assert said.stdout.split() == ["kept", "7000", "1"]
    assert (shells.slot().folder / "opened").exists()
    shells.stop()
    assert shells.leavings() == set()
    assert (home / "from-a-shell").read_text() == "written\n"
    later = free_port()
    again = shells.started(2, **shell(alice, later, home=shells.wallet(1)))
    assert again["host_key"] == answer["host_key"], "a home keeps its key"
    alice.trust(again, later)
    assert alice.ssh(later, "cat from-a-shell").stdout == "written\n"


def test_starting_it_again_changes_nothing(shells, alice):
    port = free_port()
    first = shells.started(**shell(alice, port))
    second = shells.started(**shell(alice, port))
    assert (second["changed"], second["container_id"]) == (False, first["container_id"])
    assert second["host_key"] == first["host_key"]


def test_the_host_key_lies_outside_the_home_and_cannot_be_changed_from_inside(shells, alice):
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    kept = shells.config.homes_dir / ".host-keys" / shells.wallet(1)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o400
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    before = kept.read_bytes()
    path = "/etc/axonos/ssh_host_ed25519_key"
    for attack in (f"> {path}", f"chmod 777 {path}", f"rm -f {path}", f"mv {path} /tmp/x"):
        done = alice.ssh(port, attack, check=False)
        assert done.returncode != 0, attack
        assert "not found" not in done.stderr
    assert kept.read_bytes() == before
    assert "host_ed25519" not in alice.ssh(port, "ls -a ~").stdout


def test_nobody_else_gets_in(shells, alice, tmp_path):
    """Another wallet's key, a key that the home itself names, root, a password, and no key at all."""
    port = free_port()
    answer = shells.started(**shell(alice, port))
    mallory = Person(tmp_path, "mallory")
    for person in (alice, mallory):
        person.trust(answer, port)
    authorized = (
        f"mkdir -p .ssh; echo '{mallory.public}' > .ssh/authorized_keys; chmod 600 .ssh/authorized_keys"
    )
    alice.ssh(port, authorized)
    refused = "Permission denied (publickey)"
    assert refused in mallory.ssh(port, "true", check=False).stderr
    assert refused in alice.ssh(port, "true", check=False, user="root").stderr
    asked = (
        "-o",
        "PubkeyAuthentication=no",
        "-o",
        "PreferredAuthentications=password,keyboard-interactive,none",
    )
    assert refused in alice.ssh(port, "true", check=False, options=asked).stderr


def test_a_login_that_failed_does_not_open_it(shells, alice, tmp_path):
    port = free_port()
    mallory = Person(tmp_path, "mallory")
    mallory.trust(shells.started(**shell(alice, port)), port)
    assert mallory.ssh(port, "true", check=False).returncode == 255
    assert not (shells.slot().folder / "opened").exists()


def test_keys_of_every_kind_and_more_than_one(shells, tmp_path):
    people = [Person(tmp_path, "anna", kind) for kind in ("ed25519", "ecdsa", "rsa")]
    port = free_port()
    answer = shells.started(**shell(people[0], port, ssh_keys=[person.public for person in people]))
    for person in people:
        person.trust(answer, port)
        assert person.ssh(port, "echo in").stdout == "in\n"


def test_the_next_home_on_the_same_port_is_another_to_a_client(shells, alice):
    port = free_port()
    alice.trust(shells.started(1, **shell(alice, port)), port)
    alice.ssh(port, "true")
    shells.stop(1)
    assert shells.start(2, **shell(alice, port))["ok"]
    refused = alice.ssh(port, "true", check=False)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_a_taken_port_is_refused_and_nothing_stays(shells, alice):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = shells.start(**shell(alice, taken.getsockname()[1]))
    assert (answer["ok"], answer["retry"]) == (False, "elsewhere")
    assert shells.leavings() == set()


def test_files_ports_and_no_agent_are_carried(shells, alice, tmp_path):
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    (tmp_path / "sent").write_bytes(b"\0\1" * 5000)
    options = alice.command(port)[1:-3]
    run("sftp", *options, "-P", str(port), "-b", "-", "axon@127.0.0.1", input=f"put {tmp_path}/sent there\n")
    assert (shells.home() / "there").read_bytes() == b"\0\1" * 5000
    assert alice.ssh(port, "echo ${SSH_AUTH_SOCK:-none}", options=("-A",)).stdout == "none\n"
    served = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8123, bind='127.0.0.1')"
    server = subprocess.Popen(alice.command(port, "-tt", f'cd /; exec python3 -c "{served}"'),
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        until = time.monotonic() + 30
        while True:
            said = alice.ssh(
                port, text="GET / HTTP/1.0\r\n\r\n", check=False, options=("-W", "127.0.0.1:8123")
            )
            if "200 OK" in said.stdout:
                break
            assert time.monotonic() < until, said.stderr
            time.sleep(0.1)
    finally:
        server.kill()
        server.communicate()


def reached(person, port, target):
    """What a forwarded connection to a target says within a few seconds."""
    command = person.command(port, options=("-W", target))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        try:
            said, _ = client.communicate(b"\n", timeout=4)
        except subprocess.TimeoutExpired:
            client.kill()
            said, _ = client.communicate()
    return said.decode()


def test_forwarding_leads_nowhere_but_into_the_session_and_the_internet(shells, alice, tmp_path):
    """To the host by each of its addresses, to the neighbour, and to the neighbour's published port."""
    bob = Person(tmp_path, "bob")
    ports = free_port(), free_port()
    alice.trust(shells.started(1, **shell(alice, ports[0])), ports[0])
    bob.trust(shells.started(2, **shell(bob, ports[1])), ports[1])
    with socket.socket() as on_host:
        on_host.bind(("0.0.0.0", 0))
        on_host.listen()
        own = on_host.getsockname()[1]
        slots = [shells.slot(number) for number in (1, 2)]
        address = run("hostname", "-I").split()[0]
        targets = [
            f"{slots[0].gateway(1)}:{own}", f"{slots[1].gateway(2)}:{own}", f"{address}:{own}",
            f"{slots[1].subnet(2)[2]}:2222", f"{address}:{ports[1]}", f"{slots[0].gateway(1)}:{ports[1]}",
            f"127.0.0.1:{own}", "169.254.169.254:80",
        ]  # fmt: skip
        with ThreadPoolExecutor(len(targets)) as pool:
            said = dict(
                zip(targets, pool.map(lambda target: reached(alice, ports[0], target), targets), strict=True)
            )
        assert said == dict.fromkeys(targets, "")
        on_host.setblocking(False)
        with pytest.raises(BlockingIOError):
            on_host.accept()
    assert bob.ssh(ports[1], "echo fine").stdout == "fine\n"


def test_time_left_stands_in_the_prompt_and_warnings_come_to_every_terminal(shells, alice):
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    now = int(time.time())
    assert clocks.show(shells.config, Clock(shells.slot().id, "running", 6_750_000, 14_000_000), now * 1000)
    first, second = Terminal(alice, port), Terminal(alice, port)
    try:
        for terminal in (first, second):
            assert "axonos-jupyter" in terminal.wait_for("[1h 52m]")
        warn = Warn(1, shells.slot().id, "Less than 3 minutes of credit left.", "critical")
        assert deliver(shells.config, warn)
        for terminal in (first, second):
            terminal.wait_for("*** AxonOS: Less than 3 minutes of credit left. ***")
        assert clocks.show(shells.config, Clock(shells.slot().id, "grace", 0, 7_170_000), now * 1000)
        first.type("")
        first.wait_for("[grace 1h 59m]")
        assert shells.stop()["ok"]
        for terminal in (first, second):
            assert terminal.ended() != 0
            assert "This session ends now" in terminal.shown.decode()
    finally:
        first.close()
        second.close()
    assert shells.leavings() == set()


def test_a_blocked_terminal_keeps_nobody_waiting(shells, alice):
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    blocked = Terminal(alice, port)
    try:
        blocked.wait_for("$ ")
        blocked.process.stdin.write(b"\x13")
        blocked.process.stdin.flush()
        alice.ssh(
            port, "dd if=/dev/zero of=$(ls /dev/pts/[0-9]*) bs=1M count=1 oflag=nonblock 2>/dev/null || true"
        )
        warn = Warn(1, shells.slot().id, "x" * 300, "normal")
        assert deliver(shells.config, warn)
    finally:
        blocked.close()


def test_a_request_of_a_shell_is_checked(shells, alice):
    good = shell(alice, 22_022)
    for wrong in (
        {"ssh_keys": []}, {"ssh_port": 0}, {"ssh_port": 22}, {"ssh_port": "22022"},
        {"ssh_keys": [f'command="sh" {alice.public}']}, {"ssh_keys": [f"{alice.public}\n{alice.public}"]},
        {"ssh_keys": [alice.public] * 17}, {"ssh_host": "gpu1 -oProxyCommand=x"}, {"kind": "console"},
        {"kind": "desktop"},
    ):  # fmt: skip
        answer = shells.start(**(good | wrong))
        assert (answer["ok"], answer["code"]) == (False, "bad_input"), wrong
    assert shells.leavings() == set()


def test_a_shell_needs_nothing_that_a_desktop_must_not_have(shells, alice):
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    info = json.loads(run("docker", "inspect", shells.slot().container))[0]
    assert info["HostConfig"]["CapDrop"] == ["ALL"]
    assert info["HostConfig"]["ReadonlyRootfs"]
    assert "no-new-privileges" in info["HostConfig"]["SecurityOpt"]
    ports = info["HostConfig"]["PortBindings"]
    assert ports == {"2222/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    status = alice.ssh(port, "cat /proc/self/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_what_stands_in_the_shared_folder_leads_root_nowhere(shells, alice, tmp_path):
    """The file's name taken by a link, a pipe or a folder, and a folder that is full: nothing waits, nothing leaks."""
    port = free_port()
    alice.trust(shells.started(**shell(alice, port)), port)
    treasure = tmp_path / "treasure"
    treasure.write_text("root's own")
    file = shells.slot().folder / "time-left"
    clock = Clock(shells.slot().id, "running", 60_000, 120_000)
    inside = "/run/desktop/time-left"
    for trap in (f"ln -s {treasure} {inside}", f"ln -s /etc/passwd {inside}", f"mkfifo {inside}"):
        alice.ssh(port, f"cd; {trap}")
        assert clocks.show(shells.config, clock, 0)
        assert file.read_text() == "running 60 120\n"
        file.unlink()
    assert treasure.read_text() == "root's own"
    alice.ssh(port, f"mkdir {inside}")
    assert not clocks.show(shells.config, clock, 0)
    alice.ssh(port, f"rm -r {inside}; dd if=/dev/zero of=/run/desktop/fill bs=4096 2>/dev/null", check=False)
    clocks.show(shells.config, clock, 0)
    assert sorted(path.name for path in file.parent.iterdir() if path.name.startswith(".")) == []
