"""What `axonos down --purge` does where the run before it was broken off early."""

from __future__ import annotations

from pathlib import Path

from infra.down.leftovers import mounted_below, remove_docker_objects
from infra.instance import Instance


def test_an_instance_that_never_built_an_image_leaves_nothing_to_remove(tmp_path: Path) -> None:
    instance = Instance("axnever", state=tmp_path, run=tmp_path)
    assert remove_docker_objects(instance) == []


def test_what_is_still_mounted_below_a_folder_is_named(monkeypatch, tmp_path: Path) -> None:
    lines = [f"1 2 0:3 / {tmp_path}{name} rw - nfs4 files:/homes rw" for name in ("", "/homes", "-2/homes")]
    monkeypatch.setattr(Path, "read_text", lambda _: "\n".join(lines))
    assert mounted_below(tmp_path) == [f"{tmp_path}/homes", f"{tmp_path}"]
