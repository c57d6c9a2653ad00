"""Two GPU hosts in containers, each with an engine and an SSH server of its own, and a controller beside them.

The hosts have simulated GPUs; all else is real: SSH, Ansible, nested Docker, btrfs, gateway and guard. The
controller runs in this process, on real PostgreSQL; its clock can be put forward.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine_kit import BUNDLE, LOCAL_CERTIFICATES, OPTIONS, TRUST, root_file_system

PACKAGES = (
    "python3,python3-venv,openssh-server,openssh-client,sudo,docker.io,iptables,nftables,btrfs-progs,"
    "iproute2,procps,util-linux,openssl,ca-certificates"
)
# The first process waits for children, and has an SSH server run, as a machine's init does.
INIT = """
import os, pathlib, shutil, signal, subprocess, time
for left in pathlib.Path("/run").iterdir():  # it is in memory on a real machine
    shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pathlib.Path("/run/sshd").mkdir(exist_ok=True)
subprocess.Popen(["/usr/sbin/sshd", "-D", "-e"])
while True: time.sleep(3600)
"""
PATIENCE_S = 60
# Stand-ins for an NVIDIA driver and its container toolkit, by path.
FAKE_DRIVER = {
    "/usr/bin/nvidia-smi": """#!/bin/sh
case "$*" in
*ecc.errors.uncorrected.volatile.total,*|*utilization*) echo "GPU-fake-1, Fake GPU, 1, 2, 3, 4, 5, 0" ;;
*ecc*) echo "GPU-fake-1, ${ERRORS:-0}" ;;
*uuid,name*) echo "GPU-fake-1, Fake GPU" ;;
*) echo GPU-fake-1 ;;
esac
""",
    "/usr/bin/nvidia-ctk": """#!/bin/sh
printf 'cdiVersion: 0.5.0\\nkind: nvidia.com/gpu\\ndevices:\\n- name: GPU-fake-1\\n'
""",
}
# Asks a name on this machine by TLS, and the exporter; certificates are of an authority that nobody knows.
ASK_EDGE = """
import http.client, socket, ssl, urllib.request
anybody = ssl._create_unverified_context()
for name in ("pages.test", "streams.test"):
    raw = socket.create_connection(("127.0.0.1", 8443), 10)
    link = http.client.HTTPSConnection(name, 8443)
    link.sock = anybody.wrap_socket(raw, server_hostname=name)
    link.request("GET", "/", headers={"Host": name + ":8443"})
    answer = link.getresponse()
    print(name, answer.status, answer.getheader("Strict-Transport-Security"), answer.getheader("Server"))
print("node_load1" in urllib.request.urlopen("http://127.0.0.1:9100/metrics", timeout=10).read().decode())
"""
# Names an image of such a machine that is there already; making one takes most of a minute.
MADE = "AXONOS_TEST_FLEET_IMAGE"


def run(*command: object, check: bool = True, text: str | None = None, timeout_s: int = 300) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        input=text,
        timeout=timeout_s,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


@dataclass
class Box:
    """One machine of the fleet."""

    name: str
    container: str
    state: Path

    @property
    def ip(self) -> str:
        return self._of_network("IPAddress")

    @property
    def gateway(self) -> str:
        """This machine's address, as the box reaches it."""
        return self._of_network("Gateway")

    def _of_network(self, what: str) -> str:
        networks = json.loads(run("docker", "inspect", self.container))[0]["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))[what])

    def inside(self, *command: object, check: bool = True, text: str | None = None) -> str:
        stdin = ["-i"] if text is not None else []
        return run("docker", "exec", *stdin, self.container, *command, check=check, text=text)

    def shell(self, line: str, *, check: bool = True) -> str:
        return self.inside("sh", "-c", line, check=check)

    def succeeds(self, line: str) -> bool:
        """Whether a line of shell ends well inside."""
        return self.inside("sh", "-c", f"({line}) >/dev/null 2>&1 && echo well", check=False) == "well"

    def kill(self) -> None:
        """The plug is pulled."""
        self._give_back()
        run("docker", "kill", self.container)

    def boot(self) -> None:
        run("docker", "start", self.container)
        wait_for(lambda: "sshd" in self.shell("cat /proc/[0-9]*/comm", check=False), "its SSH server")

    def remove(self) -> None:
        """Loop devices belong to the kernel: what the machine holds is given back before it goes."""
        self._give_back()
        run("docker", "rm", "--force", "--volumes", self.container, check=False)
        run("docker", "volume", "rm", "--force", self.container, check=False)

    def _give_back(self) -> None:
        """A lazy unmount lets the last writes out, as a journal would after the plug was pulled."""
        homes = self.state / "homes"
        line = f"sync; umount -l {homes}; losetup -j {homes}.btrfs | cut -d: -f1 | xargs -r losetup -d"
        run("docker", "exec", self.container, "sh", "-c", line, check=False)


def wait_for(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.1)


@contextmanager
def boxes(
    work: Path, state: Path, public_key: str, names: tuple[str, ...] = ("one", "two")
) -> Iterator[tuple[Box, ...]]:
    """Machines with nothing of AxonOS on them; gone afterwards."""
    name = f"axfleet-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        image = os.environ.get(MADE) or _image(stack, name, work)
        wanted = (Box(box, f"{name}-{box}", state) for box in names)
        yield tuple(_box(stack, image, box, public_key) for box in wanted)


def _image(stack: ExitStack, name: str, work: Path) -> str:
    archive = work / "fleet.tar"
    root_file_system(archive, PACKAGES)
    stack.callback(run, "docker", "image", "rm", "--force", name, check=False)
    run("docker", "import", archive, name)
    archive.unlink()
    return name


def _box(stack: ExitStack, image: str, box: Box, public_key: str) -> Box:
    stack.callback(box.remove)
    trust = [f"--env={one}={BUNDLE}" for one in TRUST if os.environ.get(one)]
    run(
        *("docker", "run", "--detach", "--name", box.container, *OPTIONS, *trust),
        *("-v", f"{box.container}:/var/lib/docker", "--hostname", box.name, image, "python3", "-c", INIT),
    )
    box.inside("install", "-d", "-m", "700", "/root/.ssh")
    box.inside("sh", "-c", "cat > /root/.ssh/authorized_keys", text=public_key)
    for certificate in LOCAL_CERTIFICATES.glob("*.crt"):
        run("docker", "cp", "-q", certificate, f"{box.container}:{LOCAL_CERTIFICATES}/{certificate.name}")
    box.inside("update-ca-certificates")
    if trust:
        box.inside("sh", "-c", f"printf '[global]\\ncert = {BUNDLE}\\n' > /etc/pip.conf")
    return box


class MovedClock:
    """This machine's clock, put forward by so much."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def advance(self, ms: int) -> None:
        self.ahead_ms += ms


def make_secrets(state: Path) -> dict[str, Any]:
    """What a controller has made for itself; the part of the settings that names it."""
    folder = state / "secrets"
    folder.mkdir()
    for name in ("guard_token", "web_key"):
        (folder / name).write_text(secrets.token_urlsafe(32) + "\n")
    private, public = folder / "ticket_private.pem", folder / "ticket_public.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    (state / "novnc" / "core").mkdir(parents=True)
    (state / "novnc" / "core" / "rfb.js").write_text("export default class {}")
    return {
        "web_key": folder / "web_key",
        "ticket_private_key": private,
        "guard_token": folder / "guard_token",
    }
