"""Fixtures of the host tests: everything made here is taken away at the end, also after a failure."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

# The kits of sessions and of agents are used here, too: platforms whose hosts a test brings itself.
sys.path += [str(Path(__file__).parents[1] / name) for name in ("sessions", "agents")]

from hostkit import TestHost, build_image, run, write_config
from shell_kit import build_shell_image

from controller.host import firewall

POOL = "10.219.0.0/20"


@pytest.fixture(scope="session")
def tiny_image():
    if os.geteuid() != 0:
        pytest.fail("host tests start containers, mounts and firewall rules: run them as root")
    image = build_image()
    yield image
    subprocess.run(["docker", "rmi", "-f", image], capture_output=True, check=False)


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homes")
    disk, mount = folder / "homes.btrfs", folder / "mount"
    run("fallocate", "-l", "256M", disk)
    run("mkfs.btrfs", "-q", disk)
    mount.mkdir()
    device = run("losetup", "--find", "--show", disk)
    try:
        run("mount", device, mount)
        try:
            yield mount
        finally:
            run("umount", mount)
    finally:
        run("losetup", "--detach", device)


@pytest.fixture(scope="session")
def shell_image(tmp_path_factory):
    image = build_shell_image(tmp_path_factory.mktemp("shell"))
    yield image
    subprocess.run(["docker", "rmi", "-f", image], capture_output=True, check=False)


@pytest.fixture
def shells(host, shell_image):
    """The same host; what it starts are shells."""
    host.image = shell_image
    return host


@pytest.fixture
def host(tmp_path, tiny_image, homes):
    instance = "t" + uuid.uuid4().hex[:8]
    path, config = write_config(tmp_path, instance, POOL, homes)
    made = TestHost(config, path, tiny_image)
    try:
        yield made
    finally:
        made.clear()
        firewall.remove(instance)
