"""Two machines become hosts by SSH, run sessions, hand a home on, are drained, killed, and come back."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from drift.judge import Verdict, try_batch
from drift.kinds import FIRST, Place
from fleet_kit import ASK_EDGE, FAKE_DRIVER, Box, run, wait_for
from fleet_pushes import pushes
from pulumi_kit import PLAYBOOK, pulumi_cli

from controller.adapters.convergence import HostConvergence
from controller.adapters.ssh_hosts import SshHosts, fingerprint
from controller.errors import HostKeyRefused, HostLoginRefused, HostNotConverged, HostUnreachable
from controller.services.hosts import admission as host_admission
from controller.services.hosts import fleet as fleets
from controller.services.hosts import image_welcome, images
from controller.services.hosts import registry as hosts
from controller.services.hosts import upgrade as host_upgrade
from controller.services.hosts.admission import Admitted, Wanted
from controller.services.hosts.registry import GpuSpec
from controller.services.queue import claims
from controller.services.reports import reconcile
from controller.services.sessions import ends
from infra import engine
from infra.errors import InfraError
from infra.stack_config import StackConfig, stack_config

__all__ = ["pulumi_cli"]
pytestmark = pytest.mark.integration


def wanted(fleet: Any, box: Box, **changes: Any) -> Wanted:
    own = {
        "name": box.name,
        "address": f"root@{box.ip}",
        "login_key": fleet.login_key,
        "gateway_url": f"ws://{box.ip}:8081",
        "accept_new": True,
        "gpus": (GpuSpec(f"SIM-{box.name}-0", "simulated"),),
        "simulated": True,
        "variables": {
            "axonos_controller_url": fleet.web_url,
            "axonos_gateway_bind": "0.0.0.0",
            "axonos_homes_gib": 1,
        },
    }
    return Wanted(**{**own, **changes})


def admit(fleet: Any, box: Box, **changes: Any) -> Admitted:
    deps = fleet.platform.deps
    reach = SshHosts(deps.settings.state_dir)
    convergence = HostConvergence(deps.settings)
    return host_admission.admit(
        deps, reach, convergence, wanted(fleet, box, **changes), fingerprint=fingerprint
    )


def test_a_machine_that_is_not_the_one_meant_is_not_taken(fleet: Any, tmp_path: Any) -> None:
    one = fleet.box("one")
    with pytest.raises(HostUnreachable, match="No SSH server answers"):
        admit(fleet, one, address="root@127.0.0.1:9")
    with pytest.raises(HostKeyRefused, match="nobody has accepted") as refused:
        admit(fleet, one, accept_new=False)
    with pytest.raises(HostKeyRefused, match="not SHA256:AAAA"):
        admit(fleet, one, host_key="SHA256:AAAA")
    shown = run("docker", "exec", one.container, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub")
    assert refused.value.detail["shown"] == shown.split()[1]
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger")
    with pytest.raises(HostLoginRefused, match="does not let root in"):
        admit(fleet, one, host_key=shown.split()[1], login_key=tmp_path / "stranger")
    reach = SshHosts(fleet.platform.deps.settings.state_dir)
    right = reach.host_key(one.ip)
    reach.pin(one.ip, f"ssh-ed25519 {right.split()[1][:-4]}AAAA")
    with pytest.raises(HostKeyRefused, match="another key"):
        admit(fleet, one)
    reach.pin(one.ip, right)
    assert fleet.platform.rows("SELECT name FROM host") == []


def test_both_converge_and_a_second_run_changes_nothing(fleet: Any) -> None:
    with ThreadPoolExecutor() as pool:
        first = list(pool.map(lambda box: admit(fleet, box), fleet.boxes))
        assert all(one.changed and one.converged for one in first)
        second = list(pool.map(lambda box: admit(fleet, box), fleet.boxes))
    assert [(one.changed, one.converged) for one in second] == [(False, ()), (False, ())]


def test_a_stack_of_machines_names_the_one_with_another_key_and_goes_on(
    fleet: Any, tmp_path: Path, pulumi_cli: Path
) -> None:
    """Half of an `up` is done then; the next does the rest, and nothing twice."""
    (tmp_path / "play").mkdir()
    (tmp_path / "play" / "site.yml").write_text(PLAYBOOK)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "another")
    another = " ".join((tmp_path / "another.pub").read_text().split()[:2])
    keys = {box.name: SshHosts(tmp_path).host_key(box.ip) for box in fleet.boxes}
    hosts_of = [
        {"name": box.name, "connection": "ssh", "address": box.ip, "gateway_url": f"ws://{box.ip}:8081"}
        | {"key_file": fleet.login_key, "host_key": keys["one"] if box.name == "one" else another}
        for box in fleet.boxes
    ]

    def config() -> StackConfig:
        site = {"name": "site", "path": tmp_path / "play" / "site.yml", "variables": {"out": "/srv"}}
        places = {"state_dir": tmp_path / "state", "run_dir": tmp_path / "run"}
        return stack_config(
            instance="axm", stack="rack", kind="metal", hosts=hosts_of, playbooks=[site], **places
        )

    with pytest.raises(InfraError, match=r"site-two: .*[Hh]ost key verification failed") as failed:
        engine.up(config(), cli=pulumi_cli)
    assert "site-one" not in failed.value.message
    hosts_of[1]["host_key"] = keys["two"]
    done = engine.up(config(), cli=pulumi_cli)
    assert {one.name for one in done.changed if one.kind == "PlaybookRun"} == {"site-two"}
    assert {box.inside("cat", "/srv/greeting") for box in fleet.boxes} == {"hello"}
    fleet.box("one").inside("rm", "/srv/settings")
    (drift,) = engine.refresh(config(), cli=pulumi_cli).drift
    assert (drift.name, drift.what) == ("site-one", ("one: Write the settings",))
    engine.destroy(config(), cli=pulumi_cli)
    assert all(box.inside("cat", "/srv/greeting") == "hello" for box in fleet.boxes), (
        "machines are left alone"
    )


PEOPLE = ("0x" + "a1" * 20, "0x" + "b2" * 20)
TREE = "cd {} && find . -type f -printf '%P %m %u ' -exec sha256sum {{}} ; | sort | sha256sum"


def claim(fleet: Any, wallet: str) -> str:
    """A session from claim to running; its id."""
    claimed = claims.claim(fleet.platform.deps, wallet, "small").id
    try:
        wait_for(lambda: (fleet.platform.work(), state_of(fleet, claimed))[1] == "running", "a start")
    except AssertionError:
        raise AssertionError(
            fleet.platform.rows("SELECT playbook, host, state, error_code, result FROM run ORDER BY id DESC")[
                :9
            ]
        ) from None
    return claimed


def state_of(fleet: Any, session: str) -> str:
    (row,) = fleet.platform.rows("SELECT state FROM gpu_session WHERE id = :s", s=session)
    return str(row.state)


def host_of(fleet: Any, session: str) -> str:
    (row,) = fleet.platform.rows(
        "SELECT host FROM slot JOIN gpu_session s ON s.slot_id = slot.id WHERE s.id = :s", s=session
    )
    return str(row.host)


def leave(fleet: Any, wallet: str, session: str) -> None:
    ends.end(fleet.platform.deps, wallet, session)
    wait_for(lambda: (fleet.platform.work(), state_of(fleet, session))[1] == "ended", "the end")
    wait_for(lambda: fleet.platform.work() == 0, "the replica")


def container(box: Box) -> str:
    return box.inside("docker", "ps", "--quiet", "--filter", "label=org.axonos.slot")


def tree(box: Box, wallet: str) -> str:
    """One checksum over every file of a home: names, modes, owners, contents."""
    home = box.state / "homes" / wallet
    return box.shell(TREE.format(home).replace(" ;", r" \;"))


def home(fleet: Any, wallet: str) -> tuple[str, int]:
    (row,) = fleet.platform.rows("SELECT host, generation FROM home WHERE wallet = :w", w=wallet)
    return str(row.host), int(row.generation)


def images_of(box: Box) -> str:
    return box.inside("docker", "images", "--no-trunc", "--quiet")


def test_an_image_that_the_platform_did_not_sign_is_not_loaded(fleet: Any) -> None:
    """The host looks at the content before its engine does, and the hosts behind it are not asked."""
    deps, signed = fleet.platform.deps, fleet.archive
    flipped = signed.archive.with_name("flipped.tar")
    content = bytearray(signed.archive.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    images.bring(deps, images.Archive(signed.image_id, str(flipped), signed.signature), activate=True)
    fleet.platform.work()
    flipped.unlink()
    first, second = images.standings(deps)
    assert (first.push, first.error) == ("failed", "image_unverified")
    assert (second.push, second.error) == (None, None)
    assert not any(images_of(box) for box in fleet.boxes)


def test_new_hosts_get_the_image_and_are_used_then_and_it_is_sent_once(fleet: Any) -> None:
    """As `axonos hosts add` and `sync` have it: drained until the image is there."""
    deps, signed = fleet.platform.deps, fleet.archive
    archive = images.Archive(signed.image_id, str(signed.archive), signed.signature)
    for box in fleet.boxes:
        fleets.drain(deps, box.name)
    assert image_welcome.welcome(deps, archive, ["one"]) == ["one"]
    fleet.platform.work()
    assert [fleet.state_of(box) for box in fleet.boxes] == ["ready", "draining"]
    fleets.resume(deps, "two")
    size = signed.archive.stat().st_size
    for sent in ([size, 0], [0, 0]):
        assert images.bring(deps, archive, activate=False) == ["one", "two"]
        two, one = pushes(fleet)
        assert [two.bytes_sent, one.bytes_sent] == sent
    assert all(signed.image_id in images_of(box) for box in fleet.boxes)


def test_sessions_run_on_both(fleet: Any) -> None:
    for wallet in PEOPLE:
        fleet.platform.credit(wallet, 600)
    sessions = [claim(fleet, wallet) for wallet in PEOPLE]
    assert {host_of(fleet, session) for session in sessions} == {"one", "two"}
    assert all(container(box) for box in fleet.boxes)
    wait_for(lambda: all(fleet.heard(box) for box in fleet.boxes), "both guards' reports")
    for wallet, session in zip(PEOPLE, sessions, strict=True):
        box = fleet.box(host_of(fleet, session))
        box.shell(
            f"cd {box.state}/homes/{wallet} && mkdir work && head -c 3000000 /dev/urandom > work/data"
            " && chmod 600 work/data && chown -R 7000:7000 work"
        )
        leave(fleet, wallet, session)
    assert not any(container(box) for box in fleet.boxes)


def test_a_drained_host_gets_nothing_new_and_a_home_moves_whole(fleet: Any) -> None:
    deps, wallet = fleet.platform.deps, PEOPLE[0]
    before = home(fleet, wallet)[0]
    other = "two" if before == "one" else "one"
    was = tree(fleet.box(before), wallet)
    assert fleets.drain(deps, before).state == "draining"
    session = claim(fleet, wallet)
    assert host_of(fleet, session) == other
    assert home(fleet, wallet)[0] == other
    assert tree(fleet.box(other), wallet) == was
    fleets.resume(deps, before)
    leave(fleet, wallet, session)


def test_an_upgrade_waits_for_the_person_and_ends_no_session(fleet: Any) -> None:
    deps, wallet = fleet.platform.deps, PEOPLE[1]
    session = claim(fleet, wallet)
    busy = fleet.box(host_of(fleet, session))
    other = next(box for box in fleet.boxes if box is not busy)
    other.shell(f"echo '# by hand' >> {other.state}/host.toml")
    plan = host_upgrade.Plan(
        (other.name, busy.name), "root", fleet.login_key, 0, wanted(fleet, busy).variables
    )
    convergence = HostConvergence(deps.settings)
    done, left = host_upgrade.upgrade(deps, convergence, plan, pause=lambda: time.sleep(0.2))
    assert (done.host, done.state) == (other.name, "upgraded")
    assert any("host.toml" in one for one in done.changed)
    assert (left.host, left.state) == (busy.name, "busy")
    assert state_of(fleet, session) == "running"
    assert (fleet.state_of(other), fleet.state_of(busy)) == ("ready", "draining")
    leave(fleet, wallet, session)
    fleets.resume(deps, busy.name)
    (health,) = fleet.platform.rows("SELECT health FROM host WHERE name = :n", n=other.name)
    problems = [one for one in hosts.show(deps, other.name).problems if not one.startswith("load")]
    assert problems == [], health


def test_a_killed_host_is_lost_and_its_person_goes_on_elsewhere(fleet: Any) -> None:
    deps, wallet = fleet.platform.deps, PEOPLE[0]
    session = claim(fleet, wallet)
    dead = fleet.box(host_of(fleet, session))
    alive = next(box for box in fleet.boxes if box is not dead)
    was = tree(dead, wallet)
    dead.kill()
    fleet.clock.advance(reconcile.SILENT_MS + 1_000)
    wait_for(lambda: fleet.heard(alive), "the other guard's report")
    reconcile.reconcile(deps)
    assert (fleet.state_of(dead), fleet.state_of(alive)) == ("lost", "ready")
    fleet.clock.advance(deps.settings.sessions.lease_minutes * 60_000 + reconcile.LEASE_SLACK_MS)
    wait_for(lambda: fleet.heard(alive), "the other guard's report")
    wait_for(lambda: (reconcile.reconcile(deps), state_of(fleet, session))[1] == "ended", "the end")
    standing, without_replica = fleets.give_up(deps, dead.name)
    assert (standing.state, without_replica) == ("removed", [])
    again = claim(fleet, wallet)
    assert host_of(fleet, again) == home(fleet, wallet)[0] == alive.name
    assert tree(alive, wallet) == was


def test_a_lost_host_that_comes_back_does_no_harm(fleet: Any) -> None:
    """Its copy of the home stays shut until the home is brought there anew, by everybody's consent."""
    deps, wallet = fleet.platform.deps, PEOPLE[0]
    place, generation = home(fleet, wallet)
    alive, back = fleet.box(place), next(box for box in fleet.boxes if box.name != place)
    was = tree(alive, wallet)
    back.boot()
    assert admit(fleet, back).converged, "its programs have to be started again"
    wait_for(lambda: fleet.heard(back), "its guard's report")
    assert fleet.state_of(back) == "ready"
    assert container(back) == ""
    assert home(fleet, wallet) == (place, generation)
    (gpu,) = hosts.show(deps, back.name).gpus
    assert (gpu.state, gpu.why) == ("quarantined", fleets.GIVEN_UP)
    hosts.release_gpu(deps, gpu.uuid)
    (session,) = fleet.platform.rows("SELECT id FROM gpu_session WHERE state = 'running'")
    leave(fleet, wallet, session.id)
    fleets.drain(deps, alive.name)
    session = claim(fleet, wallet)
    assert host_of(fleet, session) == back.name
    assert home(fleet, wallet) == (back.name, generation + 1)
    assert tree(back, wallet) == was
    leave(fleet, wallet, session)


def test_what_is_altered_by_hand_is_named_and_repaired_and_nothing_else(fleet: Any) -> None:
    """A desktop runs meanwhile, and goes on."""
    deps, session = fleet.platform.deps, claim(fleet, PEOPLE[0])
    box = fleet.box(host_of(fleet, session))
    convergence, variables = HostConvergence(deps.settings), wanted(fleet, box).variables
    place = Place(deps.settings.instance, str(deps.settings.state_dir), str(deps.settings.run_dir))
    verdict = Verdict()

    def converge(check: bool) -> tuple[str, ...]:
        return convergence.run(box.name, f"root@{box.ip}", fleet.login_key, variables, check=check).changed

    try_batch(FIRST, place, verdict, shell=box.succeeds, converge=converge)
    assert verdict.failures == []
    assert len(verdict.named) >= 20
    fleet.platform.work()
    assert state_of(fleet, session) == "running"
    leave(fleet, PEOPLE[0], session)


def test_roles_of_real_gpus_converge_once_and_refuse_what_is_not_fit(fleet: Any) -> None:
    """No GPU here: driver and toolkit are stand-ins, and Debian's engine is taken for one that knows CDI."""
    box, deps = fleet.box("one"), fleet.platform.deps
    for path, text in FAKE_DRIVER.items():
        box.inside("sh", "-c", f"cat > {path} && chmod 755 {path}", text=text)
    convergence = HostConvergence(deps.settings)
    variables = wanted(fleet, box).variables | {"axonos_gpus": [{"uuid": "GPU-fake-1", "simulated": False}]}

    def converge(**more: Any) -> tuple[str, ...]:
        who = (box.name, f"root@{box.ip}", fleet.login_key, variables | more)
        return convergence.run(*who, playbook="gpu_host.yml").changed

    with pytest.raises(HostNotConverged, match="knows no CDI"):
        converge()
    fit = {"nvidia_container_toolkit__docker": ["echo", "28.0.1"]}
    converge(**fit)
    assert converge(**fit) == ()
    assert "GPU-fake-1" in box.inside("cat", "/etc/cdi/nvidia.yaml")
    box.inside("sed", "-i", "s/ERRORS:-0/ERRORS:-3/", "/usr/bin/nvidia-smi")
    with pytest.raises(HostNotConverged, match="uncorrected memory errors: GPU-fake-1, 3"):
        converge(**fit)


def test_what_stands_around_a_host_converges_once_and_answers(fleet: Any) -> None:
    """TLS before site and gateway under two names, and figures; there is no site on this host."""
    box, convergence = fleet.box("one"), HostConvergence(fleet.platform.deps.settings)
    edge = {"pages_host": "pages.test", "streams_host": "streams.test", "tls": "internal"}
    edge |= {"https_port": 8443, "http_port": 8088}
    variables = wanted(fleet, box).variables | {f"edge__{name}": value for name, value in edge.items()}

    def converge(**more: Any) -> tuple[str, ...]:
        who = (box.name, f"root@{box.ip}", fleet.login_key, variables | more)
        return convergence.run(*who, playbook="surroundings.yml").changed

    with pytest.raises(HostNotConverged, match="value of edge__tls must be one of: acme, internal, files"):
        converge(edge__tls="none")
    converge()
    assert converge() == ()
    assert box.inside("python3", "-c", ASK_EDGE).splitlines() == [
        "pages.test 502 max-age=31536000 None",
        "streams.test 404 max-age=31536000 None",
        "True",
    ]
