"""`make test`: installs what the tests need, runs them, and stops what it started.

Standard library only, so that it runs with the python3 of a fresh machine. Everything it installs
comes from the machine's own package sources; the Python environment is `.venv`, from the lock.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD = ROOT / ".build"
STAMP = VENV / ".made"

# Two lanes side by side, in the order of tests/conftest.py: much of the time a test waits for a machine or a chain.
LANES = ["--numprocesses=2", "--no-loadscope-reorder"]

# Debian package -> the file that shows it is there.
PACKAGES = {
    "btrfs-progs": "/usr/sbin/mkfs.btrfs",
    "busybox-static": "/bin/busybox",
    "chromium": "/usr/bin/chromium",
    "docker.io": "/usr/sbin/dockerd",
    "iptables": "/usr/sbin/iptables",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "nftables": "/usr/sbin/nft",
    "openssh-client": "/usr/bin/ssh",
    "postgresql": "/usr/lib/postgresql",
    "python3-venv": "/usr/share/doc/python3-venv",
    "sudo": "/usr/bin/sudo",
    "xz-utils": "/usr/bin/xz",
}


def main(arguments: list[str]) -> int:
    """Prepare, test, tidy up. Returns pytest's exit status."""
    prepare_only = arguments == ["--prepare-only"]
    install_packages()
    make_environment()
    if prepare_only:
        return 0
    engine = start_docker()
    try:
        return subprocess.call([VENV / "bin/pytest", *LANES, *arguments], cwd=ROOT)
    finally:
        if engine:
            engine.terminate()
            engine.wait(timeout=60)


def as_root(command: list[str]) -> list[str]:
    """The command, by sudo where this is not root."""
    return command if os.geteuid() == 0 else ["sudo", *command]


def install_packages() -> None:
    missing = [name for name, shown_by in PACKAGES.items() if not Path(shown_by).exists()]
    if not missing:
        return
    print("installing", *missing, flush=True)
    # The tests make their own database clusters; the package need not make one.
    config = Path("/etc/postgresql-common/createcluster.d/axonos-tests.conf")
    if "postgresql" in missing:
        subprocess.run(as_root(["mkdir", "-p", str(config.parent)]), check=True)
        subprocess.run(
            as_root(["tee", str(config)]),
            input=b"create_main_cluster = false\n",
            stdout=subprocess.DEVNULL,
            check=True,
        )
    apt = as_root(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"])
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *missing], check=True)


def make_environment() -> None:
    """The Python environment of the lock file, and the project itself in it, editable."""
    lock = ROOT / "requirements-test.lock"
    digest = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == digest:
        return
    print("making the Python environment", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([system_python(), "-m", "venv", VENV], check=True)
    pip = [VENV / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)
    STAMP.write_text(digest)


def system_python() -> str:
    """The distribution's interpreter where it is new enough, else the one that runs this."""
    system = Path("/usr/bin/python3")
    probe = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if system.exists() and subprocess.call([system, "-c", probe], stderr=subprocess.DEVNULL) == 0:
        return str(system)
    return sys.executable


def start_docker() -> subprocess.Popen[bytes] | None:
    """Start a Docker engine for the tests where none answers; None where one is running."""
    if docker_answers():
        return None
    print("starting a Docker engine for the tests", flush=True)
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "dockerd.log").open("wb") as log:
        engine = subprocess.Popen(as_root(["dockerd"]), stdout=log, stderr=log, start_new_session=True)
    for _ in range(120):
        if docker_answers():
            return engine
        if engine.poll() is not None:
            break
        time.sleep(0.5)
    engine.terminate()
    sys.exit(f"the Docker engine did not start; its log is {BUILD / 'dockerd.log'}")


def docker_answers() -> bool:
    return (
        subprocess.call(as_root(["docker", "info"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        == 0
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
