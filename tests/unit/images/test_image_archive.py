"""The Docker archive: the ID depends on content, configuration and date, on nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from images.desktop.archive import Archived, image_id_in, write_archive

LAYER = b"layer" * 1000
CONFIG: dict[str, Any] = {"User": "7000:7000", "Env": ["A=1"]}


def write(
    out: Path, layer: bytes = LAYER, config: dict[str, Any] = CONFIG, date_s: int = 1_700_000_000
) -> Archived:
    return write_archive(io.BytesIO(layer), config, out, "name:tag", date_s)


def test_two_archives_of_the_same_are_equal_byte_for_byte(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.tar"), write(tmp_path / "b.tar")
    assert first == second
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


@pytest.mark.parametrize(
    "other", [{"layer": LAYER + b"x"}, {"config": {"User": "0"}}, {"date_s": 1_700_000_001}], ids=str
)
def test_another_content_is_another_image(tmp_path: Path, other: dict[str, Any]) -> None:
    assert write(tmp_path / "a.tar").image_id != write(tmp_path / "b.tar", **other).image_id


def test_docker_finds_what_it_looks_for(tmp_path: Path) -> None:
    archived = write(tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = tar.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        layer = tar.extractfile(manifest["Layers"][0]).read()  # type: ignore[union-attr]
    assert (
        archived.image_id == "sha256:" + hashlib.sha256(config).hexdigest() == image_id_in(tmp_path / "a.tar")
    )
    assert layer == LAYER
    assert archived.size_bytes == len(LAYER)
    assert json.loads(config)["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(LAYER).hexdigest()]
    assert json.loads(config)["config"] == CONFIG
