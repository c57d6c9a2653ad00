"""`axonos hosts sync`: a stack's hosts against a real database."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from controller.cli import hosts_sync
from controller.errors import BadInput
from controller.services.hosts import demand as host_demand
from controller.services.hosts import fleet
from controller.services.hosts import registry as hosts

pytestmark = pytest.mark.integration
FACTS = {"connection": "ssh", "address": "203.0.113.7", "gateway_url": "wss://x", "simulated": True}


@pytest.fixture
def sync(platform, monkeypatch, tmp_path):
    """Hands a stack's hosts over; returns what was printed as JSON."""
    # The state folder is the test's own: what was registered before is remembered there, and images lie there.
    settings = platform.deps.settings.model_copy(update={"state_dir": tmp_path})
    monkeypatch.setattr(hosts_sync, "connect", lambda: replace(platform.deps, settings=settings))

    def run(content):
        file = tmp_path / "gpu.hosts.json"
        file.write_text(json.dumps(content))
        done = CliRunner().invoke(hosts_sync.sync, [str(file), "--json"], catch_exceptions=False)
        return json.loads(done.stdout)

    return run


def stack(*names):
    return {
        "stack": "gpu",
        "hosts": [{**FACTS, "name": name, "gpus": [{"uuid": f"SIM-{name}"}]} for name in names],
    }


def test_what_came_is_registered_and_what_left_is_drained(sync, platform):
    both = {"registered": ["gpu-0", "gpu-1"], "unchanged": [], "drained": [], "arriving": []}
    assert sync(stack("gpu-0", "gpu-1")) == both
    assert sync(stack("gpu-0", "gpu-1"))["unchanged"] == ["gpu-0", "gpu-1"]
    left = {"registered": [], "unchanged": ["gpu-0"], "drained": ["gpu-1"], "arriving": []}
    assert sync(stack("gpu-0")) == left
    assert sync(stack("gpu-0"))["drained"] == [], "once is enough"
    assert hosts.show(platform.deps, "gpu-1").state == "draining"
    assert hosts.show(platform.deps, "gpu-0").gpus[0].uuid == "SIM-gpu-0"


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"stack": "gpu"},
        {"stack": "gpu", "hosts": [{"name": "x"}]},
        {"stack": "gpu", "hosts": [{**FACTS, "name": "x", "gpus": [{}]}]},
    ],
)
def test_a_file_of_another_form_is_refused(sync, content):
    with pytest.raises(BadInput):
        sync(content)


def test_demand_says_who_waits_and_what_is_on_each_host(sync, platform):
    sync(stack("gpu-7"))
    found = host_demand.demand(platform.deps)
    assert found.waiting == []
    (load,) = [host for host in found.hosts if host.name == "gpu-7"]
    assert (load.state, load.sessions, load.homes, load.idle_since_ms) == ("ready", 0, 0, None)


@pytest.fixture
def built(platform, tmp_path):
    """The platform's image, built and signed in its state folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "desktop-1.tar").write_bytes(b"")
    (folder / "desktop.sig").write_text("signed\n")

    def write(image_id=platform.deps.settings.sessions.image_id):
        (folder / "desktop.json").write_text(json.dumps({"image_id": image_id, "archive": "desktop-1.tar"}))

    write()
    return write


def test_a_new_host_is_used_only_once_it_has_the_image(platform, monkeypatch, built, sync):
    deps = platform.deps
    assert sync(stack("gpu-0", "gpu-1"))["arriving"] == ["gpu-0", "gpu-1"]
    assert {hosts.show(deps, name).state for name in ("gpu-0", "gpu-1")} == {"draining"}
    states = {load.name: load.state for load in host_demand.demand(deps).hosts}
    assert states["gpu-0"] == "arriving", "an elastic pool takes it for one that comes, not one that goes"

    answers = [{"ok": True}, {"ok": False, "code": "image_unverified"}]
    monkeypatch.setattr(platform.provisioner, "_probe", lambda _request: answers.pop(0))
    platform.work()
    assert [hosts.show(deps, name).state for name in ("gpu-0", "gpu-1")] == ["ready", "draining"]
    (push,) = [request for _, request in platform.provisioner.requests if request.get("signature")][:1]
    assert (push["archive"].rpartition("/")[2], push["signature"]) == ("desktop-1.tar", "signed")

    fleet.drain(deps, "gpu-0")
    answers.append({"ok": True})
    assert sync(stack("gpu-0", "gpu-1"))["arriving"] == ["gpu-1"], "one that failed is tried again"
    platform.work()
    assert [hosts.show(deps, name).state for name in ("gpu-0", "gpu-1")] == ["draining", "ready"]


def test_a_host_is_not_added_with_another_image_than_the_rest(platform, built, sync):
    built(f"sha256:{'f' * 64}")
    with pytest.raises(BadInput, match="axonos image roll"):
        sync(stack("gpu-0"))
    assert [host.name for host in hosts.list_hosts(platform.deps)] == ["local"]
