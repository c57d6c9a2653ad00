"""The image's files: mmdebstrap installs the locked packages, customize.sh makes a desktop of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from images.desktop.errors import BuildFailed
from images.desktop.lock import Lock
from images.desktop.sources import SUITE

HERE = Path(__file__).parent
ROOTFS = HERE / "rootfs"
# Left out of every package: nobody reads them here, and writing them takes a quarter of the build.
EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/help/*",
    "/usr/share/lintian/*",
    "/usr/share/gtk-doc/*",
    "/usr/share/themes/*/cinnamon*",
    "/usr/share/themes/*/gnome-shell*",
    "/usr/share/icons/Adwaita/*/legacy/*",
    "/usr/share/backgrounds/xfce/*",
)


@contextmanager
def layer(lock: Lock, repository: Path, wheels: Path, work: Path) -> Iterator[IO[bytes]]:
    """Build the root file system and hand it over as a tar stream.

    Args:
        lock: all packages of the image.
        repository: the local repository that holds exactly those.
        wheels: folder of JupyterLab's wheels.
        work: a folder on a disk with 4 GB free.

    Raises:
        BuildFailed: mmdebstrap is missing or failed; the message ends with its last words.
    """
    program = shutil.which("mmdebstrap")
    if not program:
        raise BuildFailed(
            "mmdebstrap is not installed. `axonos image build` installs it, or: apt install mmdebstrap"
        )
    log = work / "mmdebstrap.log"
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(lock.date_s),
        "TMPDIR": str(work),
        "LC_ALL": "C.UTF-8",
    }
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command(program, lock, repository, wheels),
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            umask=0o022,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.stdout.close()
            if process.wait():
                last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise BuildFailed(f"mmdebstrap failed:\n{last}")


def command(program: str, lock: Lock, repository: Path, wheels: Path) -> list[str]:
    """The whole call of mmdebstrap."""
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    hook = f'"{HERE / "customize.sh"}" "$1" "{ROOTFS}" "{wheels}"'
    return [
        program,
        "--variant=essential",
        "--format=tar",
        "--architectures=amd64",
        '--aptopt=APT::Install-Recommends "false"',
        # Only local files are read, and the folder they lie in may be private.
        '--aptopt=APT::Sandbox::User "root"',
        "--dpkgopt=force-unsafe-io",
        *excluded,
        f"--include={','.join(package.name for package in lock.packages)}",
        f"--customize-hook={hook}",
        "--skip=output/dev,cleanup/run,cleanup/tmp",
        SUITE,
        "-",
        f"deb [trusted=yes] copy://{repository} ./",
    ]
