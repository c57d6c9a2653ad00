"""An elastic pool on EC2: it grows for people who wait, shrinks when idle, and keeps a record of each step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ec2_kit import KEY, CloudWorld, Ec2, cloud, ec2, ec2_server
from pulumi_kit import pulumi_cli

from infra.instance import Instance
from infra.scaling import Scaler
from infra.stack_file import stack_path

__all__ = ["cloud", "ec2", "ec2_server", "pulumi_cli"]
pytestmark = pytest.mark.integration
HOUR = 3_600_000

STACK = """
kind = "aws"
controller_url = "https://gpu.example.com"
converge = false
[aws]
region = "us-east-1"
availability_zone = "us-east-1a"
ami = "ami-12c6146b"
ssh_cidrs = ["203.0.113.0/24"]
gateway_url = "wss://{{host}}.example.com"
key_file = "{key}"
public_key = "{public}"
endpoint = "{url}"
[[aws.pools]]
name = "gpu"
instance_type = "g5.xlarge"
simulated_gpus = 4
elastic = {{cap = 1, gpus_per_host = 4}}
"""


class Controller:
    """Stands where `axonos hosts` is asked: who waits, and the hosts by state."""

    def __init__(self) -> None:
        self.now_ms = 100 * HOUR
        self.waiting: list[dict[str, Any]] = []
        self.states: dict[str, str] = {}

    def __call__(self, verb: str, name: str = "") -> dict[str, Any]:
        if verb == "demand":
            hosts = [{"name": n, "state": s, "sessions": 0, "homes": 0} for n, s in self.states.items()]
            return {"now_ms": self.now_ms, "waiting": self.waiting, "hosts": hosts}
        self.states[name] = {"drain": "draining", "resume": "ready", "remove": "removed"}[verb]
        return {"name": name, "state": self.states[name]}


def test_it_grows_shrinks_and_tells(cloud: CloudWorld, ec2: Ec2) -> None:
    state, controller = cloud.folder / "state", Controller()
    (cloud.folder / "key").write_text("private")
    path = stack_path(state, "cloud")
    path.parent.mkdir()
    path.write_text(STACK.format(key=cloud.folder / "key", public=KEY, url=ec2.url))
    instance = Instance("ec2trial", state, cloud.folder / "run")

    def register() -> None:
        hosts = json.loads(path.with_suffix(".hosts.json").read_text())["hosts"]
        controller.states |= {host["name"]: "ready" for host in hosts}

    scaler = Scaler(instance, "cloud", cloud.cli, controller, register, print)
    assert scaler.step()["action"] == "stay"
    wait = {
        "gpus": 4,
        "waiting_since_ms": controller.now_ms - HOUR,
        "latest_ms": None,
        "broken": False,
        "gpu_model": "",
    }
    controller.waiting = [wait, wait]
    grown = scaler.step()
    assert (grown["action"], grown["count"]) == ("grow", 1)
    assert {"gpu-0", "gpu-0-homes"} <= {change["name"] for change in grown["plan"]}
    assert set(ec2.instances()) == {"gpu-0"}
    assert scaler.step()["action"] == "stay", "the cap is reached"

    controller.waiting, controller.now_ms = [], controller.now_ms + HOUR
    assert (scaler.step()["action"], controller.states) == ("drain", {"gpu-0": "draining"})
    removed = scaler.step()
    assert (removed["action"], controller.states) == ("remove", {"gpu-0": "removed"})
    assert set(removed["changes"]) == {"delete"}
    assert ec2.instances() == {}
    assert "gpu-0-homes" not in ec2.volumes()

    log = (state / "logs" / "scale-cloud.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"] for line in log] == ["stay", "grow", "stay", "drain", "remove"]
    assert all(json.loads(line)["why"] for line in log)
    again = json.loads(path.with_suffix(".members.json").read_text())
    assert again == {"made_ms": {}, "following": 1}, "no number is used twice"
