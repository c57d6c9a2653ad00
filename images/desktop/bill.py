"""The image's bill of materials, from its package locks: CycloneDX 1.5 JSON, the same bytes each time.

`difference` compares two bills, such as those of two images: what came, went, or changed its version.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from images.desktop.lock import Lock

_WHEEL = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
NAME = "sbom.cdx.json"


def bill(lock: Lock, wheels: str, image_id: str) -> dict[str, Any]:
    """The bill of one image.

    Args:
        lock: its Debian packages.
        wheels: its requirements lock, as text.
        image_id: `sha256:…`, which names the whole.
    """
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(lock.date_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "container", "name": "axonos-desktop", "version": image_id},
        },
        "components": [*_debian(lock), *_python(wheels)],
    }


def _debian(lock: Lock) -> list[dict[str, Any]]:
    return [
        {
            "type": "library",
            "name": package.name,
            "version": package.version,
            "purl": f"pkg:deb/debian/{quote(package.name)}@{quote(package.version, safe='')}"
            f"?arch={package.architecture}",
            "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        }
        for package in sorted(lock.packages)
    ]


def _python(wheels: str) -> list[dict[str, Any]]:
    return [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        for name, version in sorted(_WHEEL.findall(wheels))
    ]


def text(found: dict[str, Any]) -> str:
    """The bill as it is kept in a file."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def read(path: Path) -> dict[str, Any]:
    """A bill from a file.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or found.get("bomFormat") != "CycloneDX":
        raise ValueError(f"{path} is no CycloneDX bill of materials")
    return found


def difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """A line per package that differs: `- gone`, `+ new`, `~ name old -> new`; Debian's before Python's."""
    before, after = _versions(old), _versions(new)
    lines = []
    for kind, name in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, name)), after.get((kind, name))
        if now is None:
            lines.append(f"- {name} {was}")
        elif was is None:
            lines.append(f"+ {name} {now}")
        elif was != now:
            lines.append(f"~ {name} {was} -> {now}")
    return lines


def _versions(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(c["purl"].split("/")[0], c["name"]): c["version"] for c in found["components"]}
