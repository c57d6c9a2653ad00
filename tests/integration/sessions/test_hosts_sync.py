"""`axonos hosts sync`: a stack's hosts against a real database."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from controller.cli import hosts_sync
from controller.errors import BadInput
from controller.services import host_demand, hosts

pytestmark = pytest.mark.integration
FACTS = {"connection": "ssh", "address": "203.0.113.7", "gateway_url": "wss://x", "simulated": True}


@pytest.fixture
def sync(platform, monkeypatch, tmp_path):
    """Hands a stack's hosts over; returns what was printed as JSON."""
    monkeypatch.setattr(hosts_sync, "connect", lambda: platform.deps)

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
    both = {"registered": ["gpu-0", "gpu-1"], "unchanged": [], "drained": []}
    assert sync(stack("gpu-0", "gpu-1")) == both
    assert sync(stack("gpu-0", "gpu-1"))["unchanged"] == ["gpu-0", "gpu-1"]
    assert sync(stack("gpu-0")) == {"registered": [], "unchanged": ["gpu-0"], "drained": ["gpu-1"]}
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
