"""The real thing: two builds with one digest, and a desktop that passes every check under Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from images.desktop.build import Built, build
from images.desktop.errors import VerifyFailed
from images.desktop.trial import Trial
from images.desktop.verify import CHECKS, verify

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the image is built. AXONOS_TEST_IMAGES may name a folder that keeps downloads between runs."""
    kept = os.environ.get("AXONOS_TEST_IMAGES")
    return Path(kept) if kept else tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def ci(output: Path) -> dict[str, object]:
    program = [sys.executable, "-c", "from images.cli import image; image()"]
    done = subprocess.run(
        [*program, "ci", "--output", str(output), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    verdict: dict[str, object] = json.loads(done.stdout)
    assert "error" not in verdict, verdict
    assert done.returncode == (0 if verdict["ok"] else 1)
    return verdict


def test_two_builds_have_one_digest(ci) -> None:
    first, second = ci["image_ids"]
    assert first == second


def test_every_check_passes(ci) -> None:
    failed = {check["name"]: check["detail"] for check in ci["verify"]["checks"] if not check["ok"]}
    assert failed == {}
    assert [check["name"] for check in ci["verify"]["checks"]] == list(CHECKS)
    assert ci["problems"] == []


def test_the_screenshot_is_a_picture_of_a_desktop(ci, output: Path) -> None:
    assert (output / "desktop.png").stat().st_size > 20_000


def test_what_has_been_built_is_not_built_again(ci, output: Path) -> None:
    again: Built = build(output, load=True)
    assert not again.changed
    assert again.image_id == ci["image_ids"][0]


def test_a_home_is_taken_up_again_and_keeps_its_files(ci, tmp_path: Path) -> None:
    home = tmp_path / "home"
    image = str(ci["image_ids"][0])
    with Trial(image, home=home) as first:
        first.inside("sh", "-c", "echo kept > /home/axon/note.txt")
        first.stop(6)
    with Trial(image, home=home, geometry="1600x900") as second:
        assert second.inside("cat", "/home/axon/note.txt") == "kept\n"


def test_the_container_ends_with_its_x_server(ci) -> None:
    with Trial(str(ci["image_ids"][0])) as trial:
        trial.inside("pkill", "-9", "Xvnc")
        subprocess.run(["docker", "wait", trial.name], capture_output=True, timeout=10, check=True)
        assert not trial.running()


def test_a_crashed_panel_comes_back(ci) -> None:
    with Trial(str(ci["image_ids"][0])) as trial:
        before = trial.inside("pgrep", "-x", "xfce4-panel").strip()
        trial.inside("kill", "-9", before)
        another = f'until [ "$(pgrep -n -x xfce4-panel)" != {before} ]; do sleep 0.1; done'
        trial.inside("timeout", "10", "sh", "-c", f"{another}; pgrep -x xfce4-panel")


def test_an_image_that_does_not_come_up_is_refused_with_its_last_words(ci, tmp_path: Path) -> None:
    """The same image, made to fail: its X server is gone."""
    broken = "axonos-image-broken:test"
    name = f"axonos-image-broken-{os.getpid()}"
    subprocess.run(
        [
            "docker",
            "run",
            "--name",
            name,
            "--user",
            "0",
            "--entrypoint",
            "rm",
            ci["image_ids"][0],
            "/usr/bin/Xvnc",
        ],
        check=True,
        capture_output=True,
    )
    entry = 'ENTRYPOINT ["/usr/bin/tini","--","/usr/libexec/axonos/desktop"]'
    try:
        subprocess.run(
            [
                "docker",
                "commit",
                "--change",
                "USER 7000:7000",
                "--change",
                entry,
                "--change",
                "CMD []",
                name,
                broken,
            ],
            check=True,
            capture_output=True,
        )
        with pytest.raises(VerifyFailed, match="Xvnc"):
            verify(broken, tmp_path / "none.png")
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
        subprocess.run(["docker", "rmi", "--force", broken], check=False, capture_output=True)


def test_a_home_with_another_arrangement_starts_too(ci, tmp_path: Path) -> None:
    """The panel at the bottom, as a user may leave it: said to be assumed, not a failed session."""
    home = tmp_path / "home"
    image = str(ci["image_ids"][0])
    with Trial(image, home=home) as first:
        first.inside(
            "xfconf-query", "-c", "xfce4-panel", "-p", "/panels/panel-1/position", "-s", "p=8;x=0;y=0"
        )
        first.stop(6)
    with Trial(image, home=home) as second:
        assert "panel_left" in second.ready["assumed"]
