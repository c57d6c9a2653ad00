"""The program's resources, recorded by Pulumi's mocks: no engine, no Docker."""

import asyncio
import runpy
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.stack import run_pulumi_func

from infra.built_image import BuiltImage
from infra.program import declare, image_output
from infra.stack_config import stack_config

IMAGE = BuiltImage(image_id=f"sha256:{'a' * 64}", archive=Path("/images/desktop.tar"))


class Recorded(pulumi.runtime.Mocks):
    def __init__(self):
        self.made = {}

    def new_resource(self, args):
        self.made[args.name, args.typ] = args.inputs
        of_ec2 = {"publicIp": "203.0.113.9"} if args.typ.endswith("ec2/instance:Instance") else {}
        return f"{args.name}-id", args.inputs | of_ec2

    def call(self, args):
        return {}


@pytest.fixture(autouse=True)
def loop():
    """An event loop whose worker threads, in which the mocks want one too, have theirs closed at the end."""
    loops = []

    def own_loop():
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    own_loop()
    main = loops[0]
    workers = ThreadPoolExecutor(max_workers=4, initializer=own_loop)
    main.set_default_executor(workers)
    yield main
    workers.shutdown()
    asyncio.set_event_loop(None)
    for made in loops:
        made.close()


def config(tmp_path, **more):
    first, second = tmp_path / "host.yml", tmp_path / "controller.yml"
    for path in (first, second):
        path.write_text("[]\n")
    return stack_config(
        instance="trial",
        state_dir=tmp_path,
        run_dir=tmp_path / "run",
        hosts=[{"name": "local", "gpus": [{"uuid": "SIM-0", "simulated": True}]}],
        playbooks=[
            {"name": "host", "path": first, "variables": {"port": 1}},
            {"name": "controller", "path": second, "after_image": True},
        ],
        **more,
    )


def recorded(loop, program, preview=False):
    mocks = Recorded()
    pulumi.runtime.set_mocks(mocks, project="axonos", stack="local", preview=preview)
    loop.run_until_complete(run_pulumi_func(program))
    return {(name, typ.rsplit(":", 1)[-1]): inputs for (name, typ), inputs in mocks.made.items()}


def test_the_platform_is_hosts_network_homes_image_and_services(loop, tmp_path):
    made = recorded(loop, lambda: declare(config(tmp_path), IMAGE))
    assert {kind for _, kind in made} >= {"Platform", "GpuHost", "HomeVolume", "DesktopImage"}
    network = made["verification", "Network"]
    assert network["name"] == "axonos-trial-verification"
    assert network["internal"] is True, "an image under test has no way out"
    volume = made["homes", "Volume"]
    assert volume["driverOpts"] == {"type": "none", "o": "bind", "device": str(tmp_path / "homes")}
    assert volume["labels"] == [{"label": "org.axonos.instance", "value": "trial"}]
    image = made["desktop", "LoadedImage"]
    assert (image["image_id"], image["tag"]) == (IMAGE.image_id, "a" * 12)
    assert made["host-local", "PlaybookRun"]["variables"] == {"port": 1}
    assert made["controller-local", "PlaybookRun"]["variables"] == {"axonos_image_id": IMAGE.image_id}


def test_without_an_image_everything_else_is_declared(loop, tmp_path):
    made = recorded(loop, lambda: declare(config(tmp_path), None))
    assert ("desktop", "LoadedImage") not in made
    assert ("verification", "Network") in made


def test_an_image_still_being_built_is_unknown_in_a_preview_and_awaited_in_an_update(loop):
    building = Future()

    async def known():
        return await image_output(building).is_known()

    pulumi.runtime.set_mocks(Recorded(), preview=True)
    assert loop.run_until_complete(known()) is False
    pulumi.runtime.set_mocks(Recorded(), preview=False)

    async def awaited():
        found = image_output(building)
        building.set_result(IMAGE)
        return await found.future()

    assert loop.run_until_complete(awaited())["image_id"] == IMAGE.image_id


def test_the_same_variables_give_the_same_content_and_others_do_not(loop, tmp_path):
    one = recorded(loop, lambda: declare(config(tmp_path), IMAGE))
    same = recorded(loop, lambda: declare(config(tmp_path), IMAGE))
    other_image = BuiltImage(image_id=f"sha256:{'b' * 64}", archive=IMAGE.archive)
    other = recorded(loop, lambda: declare(config(tmp_path), other_image))
    for run in ("host-local", "controller-local"):
        assert one[run, "PlaybookRun"]["content"] == same[run, "PlaybookRun"]["content"]
    assert one["host-local", "PlaybookRun"]["content"] == other["host-local", "PlaybookRun"]["content"]
    changed = [made["controller-local", "PlaybookRun"]["content"] for made in (one, other)]
    assert changed[0] != changed[1]


def test_plain_pulumi_runs_the_saved_stack(loop, tmp_path):
    config(tmp_path).save()
    pulumi.runtime.set_all_config({"axonos:state_dir": str(tmp_path)})
    try:
        made = recorded(loop, lambda: runpy.run_module("infra.__main__") and None)
    finally:
        pulumi.runtime.set_all_config({})
    assert ("verification", "Network") in made


def test_an_ec2_host_keeps_its_homes_on_its_own_volume_and_is_looked_at_for_gpus(loop, tmp_path):
    made = recorded(loop, lambda: declare(_on_ec2(tmp_path, homes_gib=50), None))
    names = {name for name, kind in made if kind == "PlaybookRun"}
    assert names == {"host-gpu-0", "gpu_host-gpu-0", "host-try-0"}, "simulated GPUs need no driver"
    hosts = made["host-gpu-0", "PlaybookRun"]["inventory"]["all"]["children"]["gpu_hosts"]["hosts"]
    volume = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_gpu0homesid"
    assert (hosts["gpu-0"]["axonos_homes_disk"], hosts["gpu-0"]["axonos_real_gpus"]) == (volume, True)


def test_an_ec2_host_whose_homes_lie_on_a_shared_file_system_has_no_volume_for_them(loop, tmp_path):
    config = _on_ec2(tmp_path, homes_gib=0, homes_shared="fs-1.efs.us-east-1.amazonaws.com:/")
    made = recorded(loop, lambda: declare(config, None))
    assert not {kind for _, kind in made} & {"Volume", "VolumeAttachment"}
    hosts = made["host-gpu-0", "PlaybookRun"]["inventory"]["all"]["children"]["gpu_hosts"]["hosts"]
    assert "axonos_homes_disk" not in hosts["gpu-0"]


def _on_ec2(tmp_path, *, homes_gib, homes_shared=""):
    for name in ("host", "gpu_host", "key"):
        (tmp_path / f"{name}.yml").write_text("[]\n")
    pool = {"name": "gpu", "instance_type": "g5.xlarge", "homes_gib": homes_gib}
    aws = {
        "region": "us-east-1",
        "availability_zone": "us-east-1a",
        "ami": "ami-12c6146b",
        "pools": [pool, {**pool, "name": "try", "simulated_gpus": 2}],
        "ssh_cidrs": ["203.0.113.0/24"],
        "gateway_url": "wss://{host}.example.com",
        "key_file": tmp_path / "key.yml",
        "public_key": "ssh-ed25519 AAAA",
    }
    runs = [
        {"name": "host", "path": tmp_path / "host.yml"},
        {"name": "gpu_host", "path": tmp_path / "gpu_host.yml", "real_gpus": True},
    ]
    stack = {"stack": "cloud", "kind": "aws", "state_dir": tmp_path, "run_dir": tmp_path, "playbooks": runs}
    return stack_config(aws=aws, homes_shared=homes_shared, **stack)


def test_a_stack_of_metal_is_its_hosts_each_converged(loop, tmp_path):
    playbook = tmp_path / "host.yml"
    playbook.write_text("[]\n")
    far = {"name": "far", "connection": "ssh", "address": "203.0.113.7", "gateway_url": "wss://far"}
    metal = stack_config(
        stack="gpu",
        kind="metal",
        state_dir=tmp_path,
        run_dir=tmp_path / "run",
        hosts=[far, {**far, "name": "near", "address": "203.0.113.8"}],
        playbooks=[{"name": "host", "path": playbook}],
    )
    made = recorded(loop, lambda: declare(metal, None))
    assert {name for name, kind in made if kind == "PlaybookRun"} == {"host-far", "host-near"}
    assert not {kind for _, kind in made} & {"Network", "Volume", "LoadedImage"}
    hosts = made["host-far", "PlaybookRun"]["inventory"]["all"]["children"]["gpu_hosts"]["hosts"]
    assert hosts["far"]["ansible_host"] == "203.0.113.7"
