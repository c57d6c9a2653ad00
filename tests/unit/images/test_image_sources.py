"""This machine's Debian sources, in both of apt's formats; nothing but Debian itself counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.desktop.sources import (
    DEFAULT_MIRROR,
    SUITES,
    Source,
    debian_sources,
    machine_sources,
    mirror_sources,
)

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
OTHERS = """\
deb [arch=amd64 signed-by=/usr/share/keyrings/docker.gpg] https://download.docker.example/linux/debian bookworm stable
deb http://packages.example/tools bookworm main
deb http://deb.nodesource.example nodistro main
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
"""


def apt_folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_deb822_sources_are_found_and_disabled_ones_are_not(tmp_path: Path) -> None:
    found = machine_sources(apt_folder(tmp_path, {"sources.list.d/debian.sources": DEB822}))
    assert found == [
        Source("http://mirror.example/debian", "bookworm"),
        Source("http://mirror.example/debian", "bookworm-updates"),
        Source("http://security.example/debian-security", "bookworm-security"),
    ]


def test_one_line_sources_are_found(tmp_path: Path) -> None:
    text = "deb [arch=amd64] http://mirror.example/debian/ bookworm main non-free-firmware  # ours\n"
    assert machine_sources(apt_folder(tmp_path, {"sources.list": text})) == [
        Source("http://mirror.example/debian", "bookworm")
    ]


def test_other_archives_with_the_same_suite_name_are_not_debian(tmp_path: Path) -> None:
    assert machine_sources(apt_folder(tmp_path, {"sources.list.d/others.list": OTHERS})) == []


@pytest.mark.parametrize("suite", ["noble", "trixie"])
def test_a_machine_without_bookworm_gets_the_default_mirror(tmp_path: Path, suite: str) -> None:
    apt_folder(tmp_path, {"sources.list": f"deb http://archive.example/debian {suite} main\n"})
    assert debian_sources(etc_apt=tmp_path) == mirror_sources(DEFAULT_MIRROR)


def test_a_mirror_asked_for_wins(tmp_path: Path) -> None:
    apt_folder(tmp_path, {"sources.list.d/debian.sources": DEB822})
    found = debian_sources("http://near.example/debian/", tmp_path)
    assert [source.suite for source in found] == list(SUITES)
    assert [source.uri for source in found] == [
        "http://near.example/debian",
        "http://near.example/debian",
        "http://near.example/debian-security",
    ]


def test_a_source_is_trusted_by_debians_key_alone() -> None:
    assert (
        "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
        in Source("http://a.example/debian", "x").line()
    )
