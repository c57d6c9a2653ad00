"""A Docker archive with one layer, fixed times and configuration: the same content has the same image ID.

Only what Docker's `load` reads is written: the layer, the image configuration, manifest.json.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20
_BLOCK = 512
_RECORD = 10_240


@dataclass(frozen=True)
class Archived:
    """An image in an archive file."""

    image_id: str
    size_bytes: int


def write_archive(layer: IO[bytes], config: dict[str, Any], out: Path, tag: str, date_s: int) -> Archived:
    """Write a layer, as it comes, and its configuration as an archive for `docker load`.

    Args:
        layer: an uncompressed tar stream.
        config: the image configuration's `config` object (user, entrypoint, environment).
        out: the file to write.
        tag: name:tag under which Docker shows the image.
        date_s: the image's date, in seconds since the epoch.

    Returns:
        The image ID (SHA-256 of the configuration, which names the layer's SHA-256) and the layer's size.
    """
    with out.open("w+b") as stream:
        stream.write(bytes(_BLOCK))
        digest, size = hashlib.sha256(), 0
        while chunk := layer.read(_CHUNK):
            digest.update(chunk)
            size += stream.write(chunk)
        stream.write(bytes(-size % _BLOCK))
        diff_id = digest.hexdigest()
        text = _config_text(config, diff_id, date_s)
        image = hashlib.sha256(text).hexdigest()
        manifest = [{"Config": f"{image}.json", "Layers": [f"{diff_id}/layer.tar"], "RepoTags": [tag]}]
        for name, data in ((f"{image}.json", text), ("manifest.json", _canonical(manifest))):
            stream.write(_header(name, len(data), date_s) + data + bytes(-len(data) % _BLOCK))
        stream.write(bytes(2 * _BLOCK))
        stream.write(bytes(-stream.tell() % _RECORD))
        stream.seek(0)
        stream.write(_header(f"{diff_id}/layer.tar", size, date_s))
    return Archived(f"sha256:{image}", size)


def _config_text(config: dict[str, Any], diff_id: str, date_s: int) -> bytes:
    created = datetime.fromtimestamp(date_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _canonical(
        {
            "architecture": "amd64",
            "config": config,
            "created": created,
            "history": [{"created": created, "created_by": "axonos image build"}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        }
    )


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _header(name: str, size: int, date_s: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, date_s, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def image_id_in(archive: Path) -> str:
    """The image ID an archive holds, read from its manifest."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        manifest = json.load(member or io.BytesIO(b"[]"))
    return "sha256:" + str(manifest[0]["Config"]).removesuffix(".json")
