"""What a person inside a desktop could try against the host, the site, others and private networks."""

import json
import socket
import subprocess
import threading

import pytest
from hostkit import run

from controller.host import firewall

pytestmark = pytest.mark.integration

REACH = """
import socket
with socket.socket({family}, socket.SOCK_STREAM) as probe:
    probe.settimeout(2)
    try:
        probe.connect(({address!r}, {port}))
        print("reached")
    except OSError as error:
        print("refused", error.errno or "timeout")
"""


def reaches(host, address, port, number=1):
    family = "socket.AF_INET6" if ":" in address else "socket.AF_INET"
    return host.inside(REACH.format(family=family, address=address, port=port), number).startswith("reached")


@pytest.fixture
def service():
    """A service of the host that listens everywhere."""
    with socket.create_server(("", 0)) as listener:
        stop = threading.Event()
        listener.settimeout(0.1)

        def accept():
            while not stop.is_set():
                try:
                    listener.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()


def host_addresses():
    links = json.loads(run("ip", "-j", "addr"))
    return [
        (link["ifname"], info["local"])
        for link in links
        for info in link["addr_info"]
        if info["local"] not in ("127.0.0.1", "::1")
    ]


def test_no_address_of_the_host_answers(host, service):
    host.started()
    for _interface, address in host_addresses():
        if not address.startswith("fe80"):
            assert not reaches(host, address, service), address


def test_the_wall_is_what_stops_them(host, service):
    """The same attempt goes through when the table is taken away: the tests above can fail."""
    host.started()
    gateway = str(host.slot().gateway(1))
    assert not reaches(host, gateway, service)
    firewall.remove(host.config.instance)
    assert reaches(host, gateway, service)


def test_another_session_is_out_of_reach(host):
    host.started(1)
    host.started(2)
    address = run(
        "docker",
        "inspect",
        "-f",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        host.slot(2).container,
    )
    listen = "import socket; s=socket.create_server(('',9000)); s.settimeout(8); s.accept()"
    listener = subprocess.Popen(
        ["docker", "exec", host.slot(2).container, "/usr/bin/python3", "-c", listen],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        here = "import socket; socket.create_connection(('127.0.0.1', 9000), 3)"
        wait_for(lambda: subprocess.run(
            ["docker", "exec", host.slot(2).container, "/usr/bin/python3", "-c", "open('/proc/net/tcp').read().index(':2328 ')"],
            capture_output=True, check=False,
        ).returncode == 0)  # fmt: skip
        assert not reaches(host, address, 9000, number=1)
        host.inside(here, 2)
    finally:
        listener.kill()
        listener.wait()


def wait_for(condition):
    for _ in range(40):
        if condition():
            return
    raise AssertionError("it never came true")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "192.168.0.1", "10.0.0.1", "172.17.0.1", "100.64.0.1"]
)
def test_private_and_metadata_addresses_are_dropped(host, address):
    host.started()
    assert not reaches(host, address, 80)


def test_ipv6_leads_nowhere(host, service):
    host.started()
    for interface, address in host_addresses():
        if ":" in address:
            target = f"{address}%eth0" if address.startswith("fe80") else address
            assert not reaches(host, target, service), interface
    assert host.inside("print(len(open('/proc/net/if_inet6').read()))") in {"0", "54", "108"}


def test_nothing_new_comes_in(host):
    """The host itself may not open a connection into a desktop: streams go through the unix socket."""
    host.started()
    listing = firewall.listing(host.config.instance)
    assert 'oifname "axb' in listing
    assert listing.count("drop") >= 5


def test_no_power_inside(host):
    host.started()
    status = host.inside("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert set(fields["Uid"].split()) == {"7000"}


def test_browser_sandboxes_work_and_mounts_do_not(host):
    host.started()
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNS, NEWPID, NEWNET = 0x10000000, 0x20000, 0x20000000, 0x40000000
def tried(flags):
    child = os.fork()
    if child == 0:
        done = libc.unshare(flags)
        if done == 0 and flags & NEWUSER:
            done = libc.chroot(b"/proc/self") or (0 if libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0) == -1 else 1)
        os._exit(0 if done == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(tried(NEWUSER | NEWPID | NEWNET), tried(NEWUSER | NEWNS), tried(NEWNS))
"""
    assert host.inside(code) == "True False False"


def test_only_home_and_memory_can_be_written(host):
    host.started()
    code = """
import os
for folder in ("/", "/etc", "/usr", "/home", "/tmp", "/var/tmp", "/home/axon", "/run/desktop", "/dev/shm"):
    try:
        open(folder + "/probe", "w").close()
        print(folder)
    except OSError:
        pass
"""
    written = host.inside(code).split()
    assert written == ["/tmp", "/var/tmp", "/home/axon", "/run/desktop", "/dev/shm"]


def test_the_socket_folder_cannot_fill_the_host(host):
    host.started()
    code = """
try:
    with open("/run/desktop/fill", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20)); file.flush()
    print("filled")
except OSError as error:
    print(error.errno)
"""
    assert host.inside(code) == "28"
    assert host.stop()["ok"]
    assert host.leavings() == set()


def test_limits_hold(host):
    host.started(cpus=0.5)
    limits = run(
        "docker", "inspect", "-f", "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}", host.slot().container
    )
    assert limits == f"500000000 {256 << 20}"
    code = """
import os, sys
n = 0
try:
    while n < 1000:
        if os.fork() == 0:
            import time; time.sleep(30); os._exit(0)
        n += 1
except OSError:
    pass
print(n < 200, n > 20)
sys.stdout.flush(); os.killpg(0, 9)
"""
    done = subprocess.run(
        ["docker", "exec", host.slot().container, "/usr/bin/python3", "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "True True"


def test_no_secret_and_no_host_path_is_visible_inside(host):
    host.started()
    seen = host.inside("print(open('/proc/self/environ').read().replace(chr(0), chr(10)))")
    names = {line.split("=")[0] for line in seen.splitlines() if line}
    allowed = {"AXONOS_GEOMETRY", "AXONOS_GPUS", "AXONOS_SIMULATED", "NVIDIA_VISIBLE_DEVICES"}
    assert names <= allowed | {"PATH", "HOSTNAME", "HOME", "LC_CTYPE"}
