"""A fresh Debian machine in a container: git, make, python3 and nothing else, with an own Docker to be installed.

Its root file system comes from this machine's own package sources; where this machine trusts more
certificates than Debian does, the fresh one does too, or it could reach nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.desktop.sources import debian_sources

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = "AXONOS_PULUMI_CLI_ARCHIVE"
# What tells programs where trusted certificates lie; kept when this machine sets it.
TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_CERTIFICATES = Path("/usr/local/share/ca-certificates")
# The first process has to wait for the children it is given, as an init does.
INIT = (
    "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: time.sleep(3600)\n"
)
# Ctrl-C as a terminal does it: to all of the foreground, once `make up` has said some words.
CTRL_C = """
import os, signal, subprocess, sys, time
with open("/root/up.log", "w") as log, open("/root/up.log") as said:
    child = subprocess.Popen(
        ["make", "-s", "-C", "/root/axonos", "up"], stdout=log, stderr=log, start_new_session=True
    )
    seen = ""
    while sys.argv[1] not in seen and child.poll() is None:
        seen += said.read()
        time.sleep(0.02)
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGINT)
    status = child.wait()
    print(seen + said.read())
sys.exit(0 if status else 1)
"""
OPTIONS = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"),
    *("--device-cgroup-rule", "a *:* rwm", "-v", "/sys/fs/cgroup:/sys/fs/cgroup"),
)


@dataclass(frozen=True)
class Machine:
    """The running container."""

    name: str

    def run(self, *argv: str, check: bool = True, timeout_s: int = 120, cwd: str = "/") -> str:
        """Run a program on it; its standard output."""
        trust = [f"--env={name}={BUNDLE}" for name in TRUST if os.environ.get(name)]
        archive = [f"--env={ARCHIVE}=/root/pulumi.tar.xz"] if os.environ.get(ARCHIVE) else []
        done = subprocess.run(
            ["docker", "exec", "--workdir", cwd, *trust, *archive, self.name, *argv],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def make(self, target: str, arguments: str = "", *, timeout_s: int = 1500) -> str:
        """`make TARGET ARGS=…` in the clone, as a user would type it."""
        return self.run("make", "-s", "-C", "/root/axonos", target, f"ARGS={arguments}", timeout_s=timeout_s)

    def interrupted_up(self, at: str) -> str:
        """`make up` with Ctrl-C as soon as it says `at`; all it said. It must not end well."""
        return self.run("python3", "-c", CTRL_C, at, timeout_s=900)

    def failing_up(self) -> tuple[int, str]:
        """`make up` that is to fail: its own exit status, and what it said."""
        told = self.run(
            "sh", "-c", "python3 infra/bootstrap.py up 2>&1; echo $?", cwd="/root/axonos", timeout_s=900
        )
        *lines, status = told.splitlines()
        return int(status), "\n".join(lines)

    def up(self) -> dict[str, Any]:
        """`make up` with its outcome as an object."""
        outcome: dict[str, Any] = json.loads(self.make("up", "--json").splitlines()[-1])
        return outcome

    def copy(self, source: Path, target: str) -> None:
        subprocess.run(
            ["docker", "cp", "-q", str(source), f"{self.name}:{target}"], check=True, capture_output=True
        )


def root_file_system(target: Path, packages: str = "git,make,python3,ca-certificates") -> None:
    """The smallest Debian; with what the README asks for, unless other packages are named."""
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", "--mode=root"),
            *("--aptopt=APT::Install-Recommends false", f"--include={packages}"),
            *("bookworm", str(target), *(source.line() for source in debian_sources())),
        ],
        check=True,
        capture_output=True,
        text=True,
    )


@contextmanager
def fresh_machine(work: Path) -> Iterator[Machine]:
    """A machine that is gone afterwards, whatever happened on it."""
    name = f"axfresh-{uuid.uuid4().hex[:8]}"
    archive = work / "root.tar"
    root_file_system(archive)
    subprocess.run(["docker", "import", str(archive), name], check=True, capture_output=True)
    machine = Machine(name)
    try:
        subprocess.run(
            [
                *("docker", "run", "--detach", "--name", name, *OPTIONS, "-v", f"{name}:/var/lib/docker"),
                *("--hostname", "fresh", name, "python3", "-c", INIT),
            ],
            check=True,
            capture_output=True,
        )
        _furnish(machine, work)
        yield machine
    finally:
        _remove(machine)


def _furnish(machine: Machine, work: Path) -> None:
    """The clone, and this machine's trust."""
    clone = work / "axonos"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
    machine.copy(clone, "/root/axonos")
    machine.run("chown", "-R", "root:root", "/root/axonos")
    for certificate in LOCAL_CERTIFICATES.glob("*.crt"):
        machine.copy(certificate, f"{LOCAL_CERTIFICATES}/{certificate.name}")
    machine.run("update-ca-certificates")
    if os.environ.get(ARCHIVE):
        machine.copy(Path(os.environ[ARCHIVE]), "/root/pulumi.tar.xz")


def _remove(machine: Machine) -> None:
    """Loop devices belong to the kernel: what the machine still holds is given back before it goes."""
    give_back = "umount -l /var/lib/axonos/homes; losetup -j /var/lib/axonos/homes.btrfs | cut -d: -f1 | xargs -r losetup -d"
    subprocess.run(["docker", "exec", machine.name, "sh", "-c", give_back], capture_output=True, check=False)
    for command in (
        ["docker", "rm", "--force", "--volumes", machine.name],
        ["docker", "volume", "rm", "--force", machine.name],
        ["docker", "image", "rm", "--force", machine.name],
    ):
        subprocess.run(command, capture_output=True, check=False)
