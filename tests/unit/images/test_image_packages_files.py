"""Package files: only the right bytes enter the cache, the local repository names exactly what is locked."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from images.desktop.errors import BuildFailed
from images.desktop.fetch import cached, fetch_packages, keep, snapshot_bases
from images.desktop.lock import Lock, Package
from images.desktop.repository import control_text, write_repository


def deb(name: str, version: str) -> bytes:
    """A Debian package, as small as they get."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n".encode()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("./control")
        entry.size = len(control)
        archive.addfile(entry, io.BytesIO(control))
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(tar.getvalue())),
        ("data.tar.xz", b""),
    ]
    out = b"!<arch>\n"
    for member, data in members:
        out += (
            f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
            + data
            + b"\n" * (len(data) % 2)
        )
    return out


def package(data: bytes, name: str = "tool", version: str = "1:2.0") -> Package:
    return Package(
        name, version, "all", hashlib.sha256(data).hexdigest(), len(data), f"pool/main/t/{name}_2.0_all.deb"
    )


def refuse() -> None:
    raise AssertionError("the archive was asked although everything is in the cache")


def test_only_the_right_bytes_enter_the_cache(tmp_path: Path) -> None:
    data = deb("tool", "1:2.0")
    wanted = package(data)
    (tmp_path / "download").write_bytes(data + b"tampered")
    assert not keep(tmp_path / "download", wanted, tmp_path)
    assert not (tmp_path / "download").exists()
    (tmp_path / "download").write_bytes(data)
    assert keep(tmp_path / "download", wanted, tmp_path)
    assert cached(wanted, tmp_path).read_bytes() == data


def test_a_full_cache_needs_no_archive(tmp_path: Path) -> None:
    data = deb("tool", "1:2.0")
    cached(package(data), tmp_path).write_bytes(data)
    assert fetch_packages(Lock(1, (package(data),)), tmp_path, refuse) == []  # type: ignore[arg-type]


def test_the_repository_names_what_is_locked(tmp_path: Path) -> None:
    data = deb("tool", "1:2.0")
    cache, folder = tmp_path / "cache", tmp_path / "repository"
    cache.mkdir()
    cached(package(data), cache).write_bytes(data)
    write_repository((package(data),), cache, folder)
    index = (folder / "Packages").read_text()
    assert "Package: tool\nVersion: 1:2.0\n" in index
    assert f"SHA256: {package(data).sha256}" in index
    assert hashlib.sha256(index.encode()).hexdigest() in (folder / "Release").read_text()
    assert (folder / "pool" / f"{package(data).sha256}.deb").read_bytes() == data


def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"<html>not found</html>")
    with pytest.raises(BuildFailed, match="not a Debian package"):
        control_text(tmp_path / "x.deb")


def test_snapshots_are_asked_at_the_locks_date() -> None:
    assert snapshot_bases(0)[0].endswith("/debian/19700101T000000Z")
