"""`axonos bench run` for real, small: containers, ansible-runner, the warm server; nothing is left of it."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import make_settings

from controller.bench import run as run_bench
from controller.bench import run_place
from controller.bench.run_place import instant_image
from controller.cli import bench as command

pytestmark = pytest.mark.integration
PLAYBOOKS = Path(__file__).parents[3] / "playbooks"


def containers(instance):
    named = ["docker", "ps", "-aq", "--filter", f"label=org.axonos.instance={instance}"]
    return subprocess.run(named, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def settings(tmp_path, homes, tiny_image, monkeypatch):
    made = make_settings(
        playbooks_dir=str(PLAYBOOKS),
        sessions={"image_id": tiny_image},
        host={"homes_dir": str(homes), "gateway_group": "nogroup"},
    )
    monkeypatch.setattr(command, "load_settings", lambda _config: made)
    return made


def test_every_run_is_whole_and_nothing_stays(settings, homes, monkeypatch):
    monkeypatch.setattr(run_bench, "SUSTAINED_AT_LEAST", 4)
    instances, homes_before = [], set(homes.iterdir())

    @contextmanager
    def open_place(*arguments):
        with run_place.open_place(*arguments) as place:
            instances.append(place.instance)
            yield place
            assert containers(place.instance) == [], "each start has its stop"

    monkeypatch.setattr(command, "open_place", open_place)
    told = CliRunner().invoke(command.bench, ["run", "--runs", "1", "--image", settings.sessions.image_id, "--json"], catch_exceptions=False)  # fmt: skip
    found = json.loads(told.stdout)
    assert found["name"] == "run"
    assert found["figures"]["runs"] == found["figures"]["whole"] == 3 + 2 + run_bench.SUSTAINED_AT_LEAST, (
        told.stderr
    )
    assert {*run_bench.GOALS, "whole"} == set(found["goals"])
    assert all(found["figures"][name] > 0 for name in run_bench.GOALS)
    (instance,) = instances
    assert containers(instance) == []
    assert set(homes.iterdir()) == homes_before


def test_a_run_without_its_last_event_or_that_went_cold_does_not_count():
    series = run_bench.Series()
    series.add(1.0, run_bench.WHOLE - {"playbook_on_stats"}, well=True)
    series.add(1.0, run_bench.WHOLE, well=False)
    assert (len(series.ms), series.whole) == (2, 0)
    series.add(1.0, {*run_bench.WHOLE, "verbose"}, well=True)
    assert series.whole == 1


def test_the_platforms_own_image_is_painted_at_once(tiny_image):
    with instant_image(tiny_image) as image:
        read = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/python3", image, "-c",
                "print(open('/usr/libexec/axonos/desktop').read())"]  # fmt: skip
        assert "painted at once" in subprocess.run(read, capture_output=True, text=True, check=True).stdout
    gone = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    assert gone.returncode != 0
    subprocess.run(["docker", "image", "inspect", tiny_image], capture_output=True, check=True)
