"""A private apt: own lists, own cache, an empty status, so that it knows the archive but not this machine.

It resolves and downloads; it installs nothing. The machine's apt.conf (proxies, certificates) still applies.
"""

from __future__ import annotations

import re
import subprocess
from email.utils import parsedate_to_datetime
from pathlib import Path

from images.desktop.errors import BuildFailed
from images.desktop.lock import Package
from images.desktop.sources import Source

_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?P<hash>\S*)$", re.MULTILINE)


class PrivateApt:
    """apt-get with every folder of its own below `root`."""

    def __init__(self, root: Path, sources: list[Source]) -> None:
        self.root = root
        self.sources = sources
        for folder in ("lists/partial", "cache/archives/partial", "etc"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "status").touch()
        (root / "etc/sources.list").write_text("".join(f"{source.line()}\n" for source in sources))

    def update(self) -> None:
        """Fetch the archive's indexes.

        Raises:
            BuildFailed: an index could not be fetched or is not signed by Debian.
        """
        self._apt_get("update", "--error-on=any")

    def resolve(self, names: list[str]) -> list[Package]:
        """Everything that the essential system and `names` need, as the archive has it now.

        Raises:
            BuildFailed: a package is unknown or the set cannot be installed together.
        """
        wanted = ["?essential", *names]
        printed = self._apt_get("install", "--print-uris", "--yes", "--no-install-recommends", *wanted)
        files = {match["file"]: match for match in _URI.finditer(printed)}
        return sorted(self.records([_name_version(file) for file in files]))

    def download(self, wanted: list[str], folder: Path) -> None:
        """Download `name=version` pairs into a folder; what fails is left out.

        A file that apt could not get is no error here: the caller sees that it is missing.
        """
        self._run("apt-get", "download", *wanted, folder=folder, may_fail=True)

    def records(self, wanted: list[str]) -> list[Package]:
        """The index records of those `name=version` pairs that the archive has."""
        shown = self._run("apt-cache", "show", *wanted, may_fail=True)
        packages = []
        for stanza in shown.split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in stanza.splitlines() if re.match(r"^[A-Z][\w-]*: ", line)
            )
            if fields:
                packages.append(
                    Package(
                        name=fields["Package"],
                        version=fields["Version"],
                        architecture=fields["Architecture"],
                        sha256=fields["SHA256"],
                        size=int(fields["Size"]),
                        path=fields["Filename"],
                    )
                )
        return packages

    def archive_date_s(self) -> int:
        """The newest date of the signed indexes, in seconds since the epoch: the archive's own clock."""
        dates = [
            line.removeprefix("Date: ")
            for file in (self.root / "lists").glob("*_InRelease")
            for line in file.read_text(errors="replace").splitlines()
            if line.startswith("Date: ")
        ]
        if not dates:
            raise BuildFailed("the Debian archive gave no signed index. Check this machine's apt sources.")
        return max(int(parsedate_to_datetime(date).timestamp()) for date in dates)

    def _apt_get(self, *arguments: str) -> str:
        return self._run("apt-get", *arguments)

    def _run(self, program: str, *arguments: str, folder: Path | None = None, may_fail: bool = False) -> str:
        settings = {
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::Cache": f"{self.root}/cache",
            "Dir::State": f"{self.root}",
            "Dir::State::lists": f"{self.root}/lists",
            "Dir::State::status": f"{self.root}/status",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::sourcelist": f"{self.root}/etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        command = [program, *options, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode and not may_fail:
            raise BuildFailed(f"{program} {arguments[0]} failed:\n{done.stderr.strip()[-2000:]}")
        return done.stdout


def _name_version(file: str) -> str:
    """`name=version` from an archive file name, in which apt writes `:` as %3a."""
    name, version, _ = file.split("_", 2)
    return f"{name}={version.replace('%3a', ':')}"
