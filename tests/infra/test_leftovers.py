"""What `axonos down --purge` does where the run before it was broken off early."""

from __future__ import annotations

from pathlib import Path

from infra.down.leftovers import remove_docker_objects
from infra.instance import Instance


def test_an_instance_that_never_built_an_image_leaves_nothing_to_remove(tmp_path: Path) -> None:
    instance = Instance("axnever", state=tmp_path, run=tmp_path)
    assert remove_docker_objects(instance) == []
