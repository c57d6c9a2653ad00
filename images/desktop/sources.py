"""Where this machine gets Debian from: its own apt sources if it is a bookworm, else the default mirror.

Nothing found here reaches the image or the lock; only the packages do, and those are checked by hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
_DEBIAN_PATH = re.compile(r"/(debian|debian-security)/?$")
_ONE_LINE = re.compile(
    r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$"
)


@dataclass(frozen=True)
class Source:
    """One suite of the Debian archive at one mirror."""

    uri: str
    suite: str

    def line(self) -> str:
        """The source as a line of sources.list, trusted by Debian's own key alone."""
        return f"deb [arch=amd64 signed-by={KEYRING}] {self.uri} {self.suite} main"


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """The Debian bookworm sources of this machine.

    Args:
        etc_apt: apt's configuration folder.

    Returns:
        The sources in the order of apt's files; empty when the machine is no Debian bookworm.
    """
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    found: dict[Source, None] = {}
    for file in files:
        if file.is_file() and file.suffix in {".list", ".sources"}:
            text = file.read_text(errors="replace")
            parsed = _deb822(text) if file.suffix == ".sources" else _one_line(text)
            found.update((source, None) for source in parsed)
    return list(found) if any(source.suite == SUITE for source in found) else []


def mirror_sources(mirror: str = DEFAULT_MIRROR) -> list[Source]:
    """All suites below one mirror; the security suite lies beside the main archive, in debian-security.

    Args:
        mirror: an address that ends in /debian.
    """
    main = mirror.rstrip("/")
    return [Source(main, suite) for suite in SUITES[:2]] + [Source(f"{main}-security", SUITES[2])]


def debian_sources(mirror: str | None = None, etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """The sources to build from: the mirror asked for, else the machine's own, else the default mirror."""
    if mirror:
        return mirror_sources(mirror)
    return machine_sources(etc_apt) or mirror_sources()


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.split("#")[0].strip()):
            yield from _sources(
                [match["uri"]], [match["suite"]], match["components"].split(), match["options"] or ""
            )


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (
                line.partition(":") for line in stanza.splitlines() if not line.startswith("#")
            )
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            yield from _sources(
                fields.get("uris", "").split(),
                fields.get("suites", "").split(),
                fields.get("components", "").split(),
                fields.get("signed-by", ""),
            )


def _sources(uris: list[str], suites: list[str], components: list[str], signed_by: str) -> Iterator[Source]:
    """Only Debian itself: other archives use the same suite names."""
    if "main" not in components:
        return
    for uri in uris:
        if "debian-archive" in signed_by or _DEBIAN_PATH.search(urlsplit(uri).path):
            yield from (
                Source(uri.rstrip("/"), suite.rstrip("/")) for suite in suites if suite.rstrip("/") in SUITES
            )
