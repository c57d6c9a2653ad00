"""The operator's file of a stack: what it may say, and everything that is wrong with it at once."""

from dataclasses import replace

import pytest

from infra.errors import StackConfigInvalid
from infra.instance import Instance
from infra.inventory import inventory, output_of
from infra.known_hosts import pin
from infra.stack_file import stack_from_file, stack_path

METAL = """
kind = "metal"
controller_url = "https://gpu.example.com"
[[hosts]]
name = "rack-1"
address = "203.0.113.7"
port = 2222
user = "admin"
key_file = "{key}"
host_key = "ssh-ed25519 AAAAC3Nz"
gateway_url = "wss://rack-1.gpu.example.com"
homes_disk = "/dev/nvme1n1"
gpus = [{{uuid = "GPU-1", model = "H100"}}]
[[hosts]]
name = "rack-2"
address = "203.0.113.8"
gateway_url = "wss://rack-2.gpu.example.com"
simulated_gpus = 2
[policy]
monthly_cap_usd = 100
prices_usd_per_hour = {{"x9.huge" = 0.1234567}}
"""


@pytest.fixture
def instance(tmp_path):
    playbooks = tmp_path / "src" / "playbooks"
    playbooks.mkdir(parents=True)
    for name in ("host.yml", "gpu_host.yml"):
        (playbooks / name).write_text("[]\n")
    (tmp_path / "key").write_text("private")
    return Instance("trial", tmp_path, tmp_path / "run")


def written(instance, text):
    path = stack_path(instance.state, "rack")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(key=instance.state / "key"))
    return stack_from_file(instance, "rack")


def test_a_stack_of_metal(instance):
    config = written(instance, METAL)
    first, second = config.hosts
    assert (config.kind, config.stack) == ("metal", "rack")
    assert (first.gpus[0].model, first.port) == ("H100", 2222)
    assert [gpu.uuid for gpu in second.gpus] == ["SIM-rack-2-0", "SIM-rack-2-1"]
    playbook, of_gpus = config.playbooks
    assert of_gpus.real_gpus
    assert playbook.variables["axonos_controller_url"] == "https://gpu.example.com"
    assert config.rules().prices_micro_usd == {"x9.huge": 123_457}, "rounded up"


def test_its_inventory_names_key_user_and_disk(instance):
    config = written(instance, METAL)
    hosts = inventory(config.hosts, config.known_hosts)["all"]["children"]["gpu_hosts"]["hosts"]
    first, other = hosts["rack-1"], hosts["rack-2"]
    assert first["ansible_ssh_private_key_file"] == str(instance.state / "key")
    assert (first["ansible_user"], first["ansible_become"]) == ("admin", True)
    assert first["axonos_homes_disk"] == "/dev/nvme1n1"
    assert "StrictHostKeyChecking=yes" in first["ansible_ssh_common_args"]
    assert "StrictHostKeyChecking=accept-new" in other["ansible_ssh_common_args"]
    assert str(config.known_hosts) in other["ansible_ssh_common_args"]
    assert output_of(config.hosts[0], "203.0.113.7")["address"] == "203.0.113.7:2222"
    second = config.hosts[1].model_copy(update={"gpu_model": "H100"})
    told = output_of(second, "2001:db8::1")
    assert told["address"] == "[2001:db8::1]"
    assert {gpu["model"] for gpu in told["gpus"]} == {"H100"}, "the operator's own name for them"


def test_stated_host_keys_are_known_before_first_contact(instance):
    config = written(instance, METAL)
    path = config.known_hosts
    path.parent.mkdir()
    path.write_text("[203.0.113.7]:2222 ssh-ed25519 OLD\nother ssh-ed25519 KEPT\n")
    assert pin(path, config.hosts)
    assert path.read_text().splitlines() == [
        "other ssh-ed25519 KEPT",
        "[203.0.113.7]:2222 ssh-ed25519 AAAAC3Nz",
    ]
    assert not pin(path, config.hosts)


def test_homes_lie_on_each_hosts_own_disk_or_all_on_the_shared_file_system(instance):
    shared = replace(instance, homes_shared="files.example.org:/homes")
    with pytest.raises(
        StackConfigInvalid, match=r"rack-1: homes lie on files\.example\.org:/homes, so it has no"
    ):
        written(shared, METAL)
    config = written(shared, METAL.replace('homes_disk = "/dev/nvme1n1"', ""))
    told = config.playbooks[0].variables
    assert (told["axonos_homes_shared"], told["axonos_homes_shared_type"]) == (config.homes_shared, "nfs4")
    assert "axonos_homes_shared" not in written(instance, METAL).playbooks[0].variables
    with pytest.raises(StackConfigInvalid, match="so homes_gib is 0"):
        written(shared, AWS)
    bare = AWS.replace("[[aws.pools]]", "[[aws.pools]]\nhomes_gib = 0")
    assert not any(pool.homes_gib for pool in written(shared, bare).aws.pools)
    with pytest.raises(StackConfigInvalid, match="there is no shared file system"):
        written(instance, bare)


def test_every_problem_is_listed_at_once(instance):
    with pytest.raises(StackConfigInvalid) as raised:
        written(
            instance,
            """
kind = "cloud"
surprise = 1
[[hosts]]
name = "Rack 1"
address = "a b"
port = 0
gateway_url = "http://x"
[policy]
monthly_cap_usd = -1
""",
        )
    places = ("kind", "surprise", "controller_url", "hosts.0.name", "hosts.0.address", "hosts.0.port")
    for place in (*places, "hosts.0.gateway_url", "policy.monthly_cap_usd", "8 problem(s)"):
        assert place in raised.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind =", "rack.toml"),
        (METAL.replace("simulated_gpus = 2", 'homes_disk = ""').replace("[[hosts]]", "[hosts]"), "rack.toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(instance, text, words):
    with pytest.raises(StackConfigInvalid, match=words):
        written(instance, text)


def test_without_a_file_it_says_where_to_put_one(instance):
    with pytest.raises(StackConfigInvalid, match=r"stacks/rack\.toml"):
        stack_from_file(instance, "rack")


AWS = """
kind = "aws"
controller_url = "https://gpu.example.com"
[aws]
region = "us-east-1"
availability_zone = "us-east-1a"
ami = "ami-12c6146b"
ssh_cidrs = ["203.0.113.0/24"]
gateway_url = "wss://{{host}}.gpu.example.com"
key_file = "{key}"
public_key = "ssh-ed25519 AAAA"
[[aws.pools]]
name = "gpu"
instance_type = "g5.xlarge"
count = 2
[[aws.pools]]
name = "try"
instance_type = "t3.medium"
numbers = [4, 1]
simulated_gpus = 1
"""


def test_a_stack_of_aws_names_its_hosts(instance):
    config = written(instance, AWS)
    assert config.aws is not None
    hosts = [host for _, host in config.aws.hosts()]
    assert [host.name for host in hosts] == ["gpu-0", "gpu-1", "try-1", "try-4"]
    assert hosts[2].gateway_url == "wss://try-1.gpu.example.com"
    assert [gpu.uuid for gpu in hosts[3].gpus] == ["SIM-try-4-0"]


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("us-east-1a", "us-east-2a", "is not in us-east-1"),
        ("203.0.113.0/24", "203.0.113.1/24", "ssh_cidrs"),
        ('name = "try"', 'name = "gpu"', "pool gpu is listed twice"),
        ("[4, 1]", "[1, 1]", "has a number twice"),
        ("{key}", "/nowhere", "no key file /nowhere"),
        ("ami-12c6146b", "latest", "aws.ami"),
        ("{{host}}.", "", "gateway_url"),
    ],
)
def test_what_aws_would_refuse_is_refused_before(instance, right, wrong, words):
    with pytest.raises(StackConfigInvalid) as raised:
        written(instance, AWS.replace(right, wrong))
    assert words in raised.value.message
