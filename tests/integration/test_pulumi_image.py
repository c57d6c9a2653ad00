"""The desktop image in Docker: awaited while it is built, loaded by its ID, refused when it is another one."""

from __future__ import annotations

import json
import re
from concurrent.futures import Future

import docker
import pytest
from drift.judge import Verdict
from drift.stack import of_docker, try_stack
from pulumi_kit import PLAYBOOK, World, pulumi_cli, save_image, world

from infra import engine
from infra.built_image import BuiltImage
from infra.desktop_image import archive_image_id

__all__ = ["pulumi_cli", "world"]
pytestmark = pytest.mark.integration


def ids(world: World) -> list[str]:
    client = docker.from_env()
    found = client.images.list(f"axonos/{world.instance}-desktop")
    client.close()
    return [str(image.id) for image in found]


def test_the_image_is_awaited_loaded_repaired_replaced_and_removed(world: World) -> None:
    building: Future[BuiltImage] = Future()
    first = save_image(world.folder, f"{world.instance}-one")

    def told(line: str) -> None:
        world.told.append(line)
        if "Write the settings" in line and not building.done():
            building.set_result(first)

    done = engine.up(world.config(), cli=world.cli, report=told, image=building)
    assert ids(world) == [first.image_id] == [done.outputs["image_id"]]

    verdict = Verdict()
    with of_docker(world) as kinds:
        try_stack(kinds, world, verdict, image=first)
    assert verdict.failures == []
    assert ids(world) == [first.image_id], "loaded again, by its own name"

    second = save_image(world.folder, f"{world.instance}-two")
    replaced = world.up(image=second)
    assert [(c.name, c.kind, c.op) for c in replaced.changed] == [("desktop", "LoadedImage", "replace")]
    assert ids(world) == [second.image_id]

    engine.destroy(world.config(), cli=world.cli)
    assert ids(world) == []


def test_an_archive_with_another_image_is_refused(world: World) -> None:
    built = save_image(world.folder, f"{world.instance}-one")
    other = f"sha256:{'0' * 64}"
    images = world.folder / "state" / "images"
    images.mkdir()
    (images / "desktop.json").write_text(json.dumps({"image_id": other, "archive": str(built.archive)}))
    said, _ = world.start().communicate(timeout=120)
    assert f"holds {built.image_id}, not {other}" in said
    assert ids(world) == []
    assert archive_image_id(built.archive) == built.image_id


def test_a_failed_build_is_the_reason_given(world: World) -> None:
    said, _ = world.start(options="image=pulumi_kit.failed_build()").communicate(timeout=120)
    assert re.search("ERROR operation_failed .*no space left for the image", said)


def test_a_playbook_after_the_image_is_told_its_id(world: World) -> None:
    built = save_image(world.folder, f"{world.instance}-one")
    services = world.playbook.parent / "services.yml"
    services.write_text(
        PLAYBOOK.replace("a = 1", "image = {{ axonos_image_id }}").replace("greeting", "services")
    )
    runs = [
        {"name": "site", "path": world.playbook, "variables": {"out": str(world.out)}},
        {"name": "services", "path": services, "variables": {"out": str(world.out)}, "after_image": True},
    ]
    config = world.config(playbooks=runs)
    engine.up(config, cli=world.cli, image=built)
    assert (world.out / "settings").read_text() == f"image = {built.image_id}\n"
