"""A file system that another machine serves, under the homes: mounted as it is, never formatted."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, run
from ansible_collections.axonos.platform.plugins.module_utils.homes_disk import source_of

NOBODYS_UID = 7000  # of the people in desktops, whose homes root makes and gives to them
MOUNT_S = 60


@dataclass(frozen=True)
class Share:
    """What is mounted: its source, such as `files.example.org:/homes`, its type, and mount options."""

    source: str
    type: str
    options: str

    @property
    def words(self) -> str:
        """The words of `mount` between the command and the folder."""
        return " ".join(["-t", self.type, *(["-o", self.options] if self.options else []), self.source])


def is_mounted(share: Share, file: Path, disk: str, mount: Path) -> bool:
    """Whether the share is mounted there already.

    Raises:
        CommandFailed: it cannot be, without hiding homes that lie elsewhere.
    """
    if any(not word or word.split() != [word] for word in (share.source, share.type)):
        raise CommandFailed(f"{share.source!r} of type {share.type!r} is no file system to mount")
    if disk:
        raise CommandFailed(f"both the disk {disk} and the shared {share.source} are named. Choose one")
    if file.exists():
        raise CommandFailed(f"they lie in {file} already. Move them by hand, then move the file away")
    there = source_of(mount)
    if there and there.rstrip("/") != share.source.rstrip("/"):
        raise CommandFailed(f"{there} is mounted at {mount}, not {share.source}. Unmount it by hand")
    if not there and mount.is_dir() and any(mount.iterdir()):
        raise CommandFailed(f"there are files in {mount}, which a mount would hide. Move them by hand")
    return bool(there)


def attach(share: Share, mount: Path) -> None:
    """Mount it, and see that root may give folders away there: homes belong to the people in desktops.

    Raises:
        CommandFailed: it cannot be mounted, or root is not root there; then it is not mounted afterwards.
    """
    mount.mkdir(mode=0o711, exist_ok=True)
    run(["mount", *share.words.split(), str(mount)], timeout_s=MOUNT_S)
    probe = mount / f".axonos-probe-{os.uname().nodename}"
    try:
        probe.mkdir(mode=0o700, exist_ok=True)
        os.chown(probe, NOBODYS_UID, NOBODYS_UID)
    except OSError as error:
        with suppress(OSError):
            probe.rmdir()
        run(["umount", str(mount)])
        why = f"root of this machine is not root on {share.source}: {error.strerror}"
        raise CommandFailed(f"{why}. Export it so (no_root_squash)") from error
    probe.rmdir()
