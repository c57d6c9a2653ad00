"""Ansible module: the file system of the homes: btrfs on a disk or file with quotas, or a shared one."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils import homes_disk, homes_shared
from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: homes
short_description: The file system of the homes, on a disk, a loop file, or shared
description:
  - Allocates and formats the file once; never formats a file that holds anything.
  - Loop devices belong to the kernel, not to this machine's view of it, so the one that carries the file is
    recognised by device and inode number, and missing device nodes are made.
  - A disk is formatted once, where it is empty; one that holds anything else is refused. It is grown in use.
  - A shared file system, such as one of NFS, is mounted as it is.
  - Homes that lie elsewhere already are never hidden by another mount.
author: [AxonOS (@axonos)]
options:
  file: {description: The loop file., type: path, required: true}
  disk: {description: A whole disk in place of the file., type: path, default: ""}
  shared: {description: A shared file system in place of both., type: str, default: ""}
  shared_type: {description: "Its type, as C(mount) has it.", type: str, default: nfs4}
  shared_options: {description: Its mount options., type: str, default: ""}
  mount: {description: Where it is mounted., type: path, required: true}
  size_gib: {description: Its size at first., type: int, default: 10}
  unit: {description: Name of the systemd unit that mounts it at each boot., type: str, default: ""}
  state:
    description: C(unmounted) detaches the loop device and leaves the file.
    type: str
    choices: [mounted, unmounted]
    default: mounted
"""
EXAMPLES = r"""
- name: Mount the homes
  axonos.platform.homes:
    file: /var/lib/axonos/homes.btrfs
    mount: /var/lib/axonos/homes
"""
RETURN = r"""
device: {description: The loop device, if there is one., type: str, returned: always}
"""
LOOP_MAJOR = 7
MARGIN = 1024**3
NETWORK = "Wants=network-online.target\nAfter=network-online.target\n"
ARGUMENTS = {
    "file": {"type": "path", "required": True},
    "disk": {"type": "path", "default": ""},
    "shared": {"type": "str", "default": ""},
    "shared_type": {"type": "str", "default": "nfs4"},
    "shared_options": {"type": "str", "default": ""},
    "mount": {"type": "path", "required": True},
    "size_gib": {"type": "int", "default": 10},
    "unit": {"type": "str", "default": ""},
    "state": {"choices": ["mounted", "unmounted"], "default": "mounted"},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    file, mount = Path(params["file"]), Path(params["mount"])
    found = Differences()
    try:
        if params["state"] == "unmounted":
            _unmount(file, mount, found, check)
            _forget_at_boot(params["unit"], check)
        elif params["shared"]:
            _on_share(params, found, check)
        elif params["disk"]:
            _on_disk(Path(params["disk"]), params, found, check)
        else:
            _on_file(params, found, check)
        device = homes_disk.source_of(mount) or _device_of(file)
    except (CommandFailed, OSError) as error:
        raise CommandFailed(f"The homes at {mount} are not as they should be: {error}") from error
    return found.result(device=device)


def _on_file(params: dict[str, Any], found: Differences, check: bool) -> None:
    file, mount = Path(params["file"]), Path(params["mount"])
    there = homes_disk.source_of(mount)
    if there and not there.startswith("/dev/loop"):
        raise CommandFailed(
            f"they lie on {there} already. Name it as the disk or the shared one, or move them"
        )
    _make(file, params["size_gib"], found, check)
    if not _is_mounted(file, mount):
        found.note(str(mount), "not mounted")
        if check:
            return
        _mount(_device_of(file) or _attach(file), mount)
    _limit(mount, found, check)
    _mount_at_boot(f"-t btrfs -o loop,noatime {file}", params, found, check)


def _on_disk(disk: Path, params: dict[str, Any], found: Differences, check: bool) -> None:
    """Grown before the quotas are looked at: those of a full disk could not be turned on."""
    file, mount = Path(params["file"]), Path(params["mount"])
    if file.exists():
        raise CommandFailed(f"they lie in {file} already. Move them by hand, then move the file away")
    device = homes_disk.prepare(disk, found, check)
    there = homes_disk.source_of(mount)
    if there and there != str(device):
        raise CommandFailed(f"{there} is mounted at {mount}, not {disk}. Unmount it by hand")
    if not there:
        found.note(str(mount), "not mounted")
        if check:
            return
        _mount(str(device), mount)
    homes_disk.grow(device, mount, found, check)
    _limit(mount, found, check)
    _mount_at_boot(f"-t btrfs -o noatime {disk}", params, found, check, waits=_wait_for(disk))


def _on_share(params: dict[str, Any], found: Differences, check: bool) -> None:
    """Other options than those it is mounted with count from the next mount on."""
    mount = Path(params["mount"])
    share = homes_shared.Share(params["shared"], params["shared_type"], params["shared_options"])
    if not homes_shared.is_mounted(share, Path(params["file"]), params["disk"], mount):
        found.note(str(mount), "not mounted")
        if check:
            return
        homes_shared.attach(share, mount)
    _mount_at_boot(share.words, params, found, check, waits=NETWORK)


def _wait_for(disk: Path) -> str:
    """What the unit waits for: the disk, which a cloud may show late."""
    if not Path("/run/systemd/system").is_dir():
        return ""
    device = run(["systemd-escape", "--path", "--suffix=device", str(disk)]).strip()
    return f"Requires={device}\nAfter={device}\n"


def _make(file: Path, size_gib: int, found: Differences, check: bool) -> None:
    """The file gets its name only when it is formatted, so an interruption leaves no half-made one."""
    if file.exists():
        return
    found.note(str(file), "missing")
    if check:
        return
    free = os.statvfs(file.parent).f_bavail * os.statvfs(file.parent).f_frsize
    if free < size_gib * 1024**3 + MARGIN:
        raise CommandFailed(f"{size_gib} GiB and some room are needed, {free / 1024**3:.1f} GiB are free")
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    run(["fallocate", "--length", f"{size_gib}GiB", str(fresh)])
    fresh.chmod(0o600)
    run(["mkfs.btrfs", "--quiet", "--force", "--label", "axonos-homes", str(fresh)])
    fresh.replace(file)


def _mount(device: str, mount: Path) -> None:
    mount.mkdir(mode=0o711, exist_ok=True)
    run(["mount", "-t", "btrfs", "-o", "noatime", device, str(mount)])


def _limit(mount: Path, found: Differences, check: bool) -> None:
    if not _has_quota(mount):
        found.note(str(mount), "quotas are off")
        if not check:
            run(["btrfs", "quota", "enable", str(mount)])


def _mount_at_boot(
    what: str, params: dict[str, Any], found: Differences, check: bool, *, waits: str = ""
) -> None:
    """With systemd, mount again after a reboot, before the services that need it."""
    mount, unit = params["mount"], params["unit"]
    path = Path("/etc/systemd/system") / unit
    text = (
        f"[Unit]\nDescription=Homes of AxonOS\nBefore=docker.service\n{waits}\n[Service]\nType=oneshot\n"
        f"RemainAfterExit=yes\nExecStart=/bin/mount {what} {mount}\n"
        f"ExecCondition=/bin/sh -c '! mountpoint --quiet {mount}'\n\n[Install]\nWantedBy=multi-user.target\n"
    )
    if not unit or not Path("/run/systemd/system").is_dir():
        return
    enabled = run(["systemctl", "is-enabled", unit], check=False).strip() == "enabled"
    if enabled and path.exists() and path.read_text() == text:
        return
    found.note(str(path), "missing or different" if enabled else "not enabled")
    if not check:
        path.write_text(text)
        run(["systemctl", "daemon-reload"])
        run(["systemctl", "enable", "--quiet", unit])


def _forget_at_boot(unit: str, check: bool) -> None:
    if unit and not check and Path("/run/systemd/system").is_dir():
        run(["systemctl", "disable", "--quiet", "--now", unit], check=False)


def _is_mounted(file: Path, mount: Path) -> bool:
    if not mount.is_mount():
        return False
    device = _device_of(file)
    source = run(["findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", str(mount)]).split()
    return device in source


def _has_quota(mount: Path) -> bool:
    try:
        run(["btrfs", "qgroup", "show", str(mount)])
    except CommandFailed:
        return False
    return True


def _device_of(file: Path) -> str | None:
    """The loop device that carries exactly this file; other machines' files may have the same path."""
    if not file.exists():
        return None
    here = file.stat()
    device = f"{os.major(here.st_dev)}:{os.minor(here.st_dev)}"
    listed = run(["losetup", "--json", "--list", "--output", "NAME,BACK-INO,BACK-MAJ:MIN"])
    for loop in json.loads(listed or "{}").get("loopdevices", []):
        if int(loop["back-ino"] or 0) == here.st_ino and loop["back-maj:min"].strip() == device:
            _make_node(loop["name"])
            return str(loop["name"])
    return None


def _attach(file: Path) -> str:
    """Another program may take the free device first, then the next one is asked for."""
    _make_node("/dev/loop-control", major=10, minor=237, kind=stat.S_IFCHR)
    for _ in range(8):
        device = run(["losetup", "--find"]).strip()
        _make_node(device)
        try:
            run(["losetup", device, str(file)])
        except CommandFailed as error:
            problem = error
            time.sleep(0.2)
        else:
            return device
    raise problem


def _make_node(
    name: str, major: int = LOOP_MAJOR, minor: int | None = None, kind: int = stat.S_IFBLK
) -> None:
    if not Path(name).exists():
        number = int(name.removeprefix("/dev/loop")) if minor is None else minor
        os.mknod(name, kind | 0o660, os.makedev(major, number))


def _unmount(file: Path, mount: Path, found: Differences, check: bool) -> None:
    device = _device_of(file)
    if mount.is_mount():
        found.note(str(mount), "unmounted")
        if not check:
            run(["umount", str(mount)])
    if device is not None and not check:
        found.note(device, "detached")
        if _device_of(file) is not None:
            run(["losetup", "--detach", device])


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
