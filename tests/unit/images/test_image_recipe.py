"""The recipe names everything the image's bytes depend on, and nothing secret or local is in the overlay."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from images.desktop import build as build_module
from images.desktop.build import CONFIG, RECIPE, recipe_digest
from images.desktop.layer import HERE, ROOTFS, command
from images.desktop.lock import Lock, Package

FILES = sorted(p for p in ROOTFS.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def test_the_recipe_changes_with_a_file_of_the_overlay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RECIPE:
        (tmp_path / name).write_text(name)
    overlay = tmp_path / "rootfs"
    overlay.mkdir()
    monkeypatch.setattr(build_module, "HERE", tmp_path)
    monkeypatch.setattr(build_module, "ROOTFS", overlay)
    (overlay / "program").write_text("one")
    seen = {recipe_digest()}
    (overlay / "program").write_text("two")
    seen.add(recipe_digest())
    (overlay / "program").chmod(0o755)
    seen.add(recipe_digest())
    (tmp_path / RECIPE[0]).write_text("another package")
    seen.add(recipe_digest())
    assert len(seen) == 4


def test_the_recipe_has_no_missing_file() -> None:
    assert [name for name in RECIPE if not (HERE / name).is_file()] == []


def test_nothing_in_the_image_runs_as_root() -> None:
    assert CONFIG["User"] == "7000:7000"
    assert CONFIG["Entrypoint"] == ["/usr/bin/tini", "--", "/usr/libexec/axonos/desktop"]


def test_mmdebstrap_installs_the_lock_and_nothing_recommended() -> None:
    packages = (
        Package("a", "1", "all", "0" * 64, 1, "a.deb"),
        Package("b", "1", "all", "1" * 64, 1, "b.deb"),
    )
    words = command("mmdebstrap", Lock(1, packages), Path("/repository"), Path("/wheels"))
    assert "--include=a,b" in words
    assert '--aptopt=APT::Install-Recommends "false"' in words
    assert words[-1] == "deb [trusted=yes] copy:///repository ./"


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix in {".xml", ".svg"}], ids=lambda f: f.name)
def test_xml_of_the_overlay_is_well_formed(file: Path) -> None:
    assert ET.parse(file).getroot() is not None


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix == ".json"], ids=lambda f: f.name)
def test_json_of_the_overlay_is_well_formed(file: Path) -> None:
    assert isinstance(json.loads(file.read_text()), dict)


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix == ".desktop"], ids=lambda f: f.name)
def test_menu_entries_start_programs_of_the_overlay(file: Path) -> None:
    program = re.search(r"^Exec=(\S+)", file.read_text(), re.MULTILINE)
    assert program
    started = ROOTFS / program[1].lstrip("/")
    assert started.stat().st_mode & 0o111


def test_the_x_server_listens_on_unix_sockets_alone() -> None:
    session = (ROOTFS / "usr/libexec/axonos/desktop").read_text()
    for words in ('"-rfbport", "-1"', '"-rfbunixpath"', '"-nolisten", "tcp"', '"-SecurityTypes", "None"'):
        assert words in session
