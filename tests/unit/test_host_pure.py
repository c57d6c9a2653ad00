"""The pure parts of the host program: requests, names, walls, container and profile, instants, leases."""

import json
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.host import container, firewall, names
from controller.host.config import ConfigInvalid, load
from controller.host.instants import parse_instant_ms
from controller.host.leases import Lease, Leases
from controller.host.request import parse_start, parse_stop
from controller.host.words import RETRY, HostRefused

SLOT = "s-0123456789ab"
START = {
    "instance": "axonos", "slot": SLOT, "subnet_index": 3, "session": "x", "generation": 1,
    "fencing_token": 1, "lease_until_ms": 1, "image": "sha256:" + "a" * 64, "config_digest": "sha256:abcdef",
    "home": "0x" + "0" * 40, "gpus": ["GPU-1", "GPU-2"], "simulated": True, "cpus": 4, "memory_mib": 1024,
    "pids": 512, "geometry": "1280x800", "fresh_start": False, "start_timeout_s": 60,
}  # fmt: skip
CONFIG = """
instance = "axonos"
[host]
name = "h"
controller_url = "http://x"
pages_origin = "http://localhost:8080"
homes_dir = "/srv/homes"
run_dir = "/run/axonos"
ticket_public_key = "/k"
guard_token = "/t"
"""


@pytest.fixture
def slot(tmp_path):
    path = tmp_path / "axonos.toml"
    path.write_text(CONFIG)
    return names.Slot(load(path), SLOT)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(START)), st.none() | st.text() | st.integers() | st.booleans()))
def test_a_changed_request_is_checked_or_refused(changes):
    try:
        request = parse_start(START | changes)
    except HostRefused as refused:
        assert refused.code == "bad_input"  # noqa: PT017
        return
    assert names.SLOT.fullmatch(request.slot)
    assert "/" not in request.home + request.instance + request.geometry


@pytest.mark.parametrize("name", sorted(START))
def test_every_field_is_needed(name):
    with pytest.raises(HostRefused, match=name):
        parse_start({key: value for key, value in START.items() if key != name})


def test_a_stop_takes_nothing_else():
    with pytest.raises(HostRefused, match="force"):
        parse_stop({"instance": "a", "slot": SLOT, "fencing_token": 1, "timeout_s": 5, "force": True})


def test_every_word_says_whether_to_try_again():
    assert set(RETRY.values()) == {"elsewhere", "here", "stop"}


@pytest.mark.parametrize("instance", ["axonos", "a", "abcdefghij0123456789"])
def test_bridge_names_fit_the_kernel_and_start_alike(instance):
    prefix = names.bridge_prefix(instance)
    assert len(f"{prefix}4094") <= 15
    assert prefix.startswith("axb")


@given(st.integers(0, 4094))
def test_subnets_are_disjoint_and_inside_the_pool(index):
    pool = IPv4Network("10.213.0.0/16")
    one, following = names.subnet(pool, index), names.subnet(pool, index + 1)
    assert one.subnet_of(pool)
    assert not one.overlaps(following)


def test_a_pool_has_an_end():
    with pytest.raises(ValueError, match="outside"):
        names.subnet(IPv4Network("10.0.0.0/27"), 2)


def test_the_container_has_no_power(slot):
    made = container.container(slot, parse_start(START), slot.folder, api_version=(1, 41))
    host = made["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert "CapAdd" not in host
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"]
    assert made["User"] == "7000:7000"
    assert container.cpu_share(parse_start(START), 2) == {"NanoCpus": 2_000_000_000, "CpuShares": 1024}
    assert container.cpu_share(parse_start(START), 64) == {"NanoCpus": 4_000_000_000, "CpuShares": 1024}
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    kept = json.loads(made["Labels"]["org.axonos.limits"])
    assert kept == {name: host[name] for name in ("Memory", "MemorySwap", "PidsLimit")}
    assert host["ShmSize"] == 1 << 30
    assert host["DeviceRequests"] == []
    assert {mount["Target"] for mount in host["Mounts"]} == {"/home/axon", "/run/desktop"}


def test_a_desktop_that_waits_has_its_gpus_and_nobodys_home(slot):
    request = parse_start(START | {"warm": True, "home": "", "session": "", "simulated": False})
    made = container.container(slot, request, slot.place, api_version=(1, 48))
    host = made["HostConfig"]
    assert host["DeviceRequests"][0]["DeviceIDs"] == ["nvidia.com/gpu=GPU-1", "nvidia.com/gpu=GPU-2"]
    home = next(mount for mount in host["Mounts"] if mount["Target"] == "/home")
    assert home["Source"] == str(slot.place)
    assert home["BindOptions"] == {"Propagation": "rslave"}, "mounts come in, none go out"
    assert (made["WorkingDir"], host["CpuShares"]) == ("/", 2)
    assert "AXONOS_WARM=1" in made["Env"]


def test_only_what_waits_has_no_home():
    for change in ({"home": ""}, {"session": ""}, {"warm": True, "home": "x"}):
        with pytest.raises(HostRefused, match="bad_input"):
            parse_start(START | change)


@pytest.mark.parametrize(
    ("version", "devices"),
    [
        ((1, 41), [{"Driver": "nvidia", "DeviceIDs": ["GPU-1", "GPU-2"], "Capabilities": [["gpu"]]}]),
        ((1, 48), [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-1", "nvidia.com/gpu=GPU-2"]}]),
    ],
)
def test_real_gpus_are_asked_for_by_uuid(slot, version, devices):
    request = parse_start(START | {"simulated": False})
    made = container.container(slot, request, slot.folder, api_version=version)
    assert made["HostConfig"]["DeviceRequests"] == devices


def test_the_profile_adds_only_what_browser_sandboxes_need():
    rules = json.loads(container.SECCOMP.read_text())["syscalls"]
    own = [rule for rule in rules if rule.get("comment", "").startswith("axonos:")]
    assert sorted(name for rule in own for name in rule["names"]) == ["chroot", "clone", "unshare"]
    free = {
        name for rule in rules if not rule.get("includes") and not rule.get("args") for name in rule["names"]
    }
    assert not free & {
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "unshare",
        "clone",
    }


def test_walls_name_the_resolvers_and_nothing_else():
    text = "# made by\nnameserver 10.0.0.2\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\nsearch x\n"
    assert firewall.resolvers(text) == ["10.0.0.2"]
    walls = firewall.ruleset("my-test", ["10.0.0.2"])
    assert "table inet axonos_my_test" in walls
    assert walls.count("dport 53 accept") == 2
    assert "dport 53" not in firewall.ruleset("my-test", [])


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-02T03:04:05.678901234Z", 1767323045678),
        ("2026-01-02T03:04:05Z", 1767323045000),
        ("2026-01-02T03:04:05.6Z", 1767323045600),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_instants_of_the_engine(text, instant):
    assert parse_instant_ms(text) == instant


def test_all_problems_of_a_config_are_listed_at_once(tmp_path):
    path = tmp_path / "axonos.toml"
    path.write_text(
        'instance = "A"\n[host]\nsession_uid = 0\nsubnet_pool = "10.0.0.0/30"\n[gateway]\nport = 0\n'
    )
    with pytest.raises(ConfigInvalid) as problems:
        load(path)
    for word in ("instance", "session_uid", "subnet_pool", "gateway.port", "host.name", "host.homes_dir"):
        assert word in str(problems.value)


def lease(**changes):
    fields = {"slot": SLOT, "session": "x", "generation": 1, "fencing_token": 3, "until_ms": 10}
    return Lease(**fields | {"config_digest": "d", "subnet_index": 1, "home": "0x", "gpus": ("a",)} | changes)


def test_leases_are_renewed_by_token_and_buried_for_good(tmp_path):
    leases = Leases(tmp_path)
    with leases.changing():
        leases.write(lease())
    assert leases.all() == [lease()]
    assert not leases.renew(SLOT, 2, 99)
    assert leases.renew(SLOT, 4, 99)
    assert leases.read(SLOT) == lease(fencing_token=4, until_ms=99)
    leases.bury(SLOT, 3)
    assert leases.all() == []
    assert leases.newest_token(SLOT) == 4
    assert not leases.renew(SLOT, 9, 99)


def test_a_broken_lease_file_is_no_lease(tmp_path):
    leases = Leases(tmp_path)
    with leases.changing():
        leases.write(lease())
    (tmp_path / "leases" / f"{SLOT}.json").write_text('{"slot": "s-0')
    assert leases.read(SLOT) is None


def test_a_held_slot_is_seen_as_busy(tmp_path):
    leases = Leases(tmp_path)
    assert not leases.is_locked(SLOT)
    with leases.locked(SLOT):
        assert leases.is_locked(SLOT)
    assert not leases.is_locked(SLOT)
