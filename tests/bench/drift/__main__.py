"""`python -m drift`: a host of its own, reached by SSH, and two stacks, altered by hand. Prints one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ec2_kit import SECRETS, a_cloud, serving
from fakes import make_settings
from fleet_kit import Box, boxes, make_secrets, run
from hostkit import build_image, start_request
from pulumi_kit import a_world, save_image

from controller.adapters.convergence import HostConvergence
from controller.adapters.ssh_hosts import SshHosts
from drift.judge import Verdict, try_batch
from drift.kinds import FIRST, SECOND, Place
from drift.stack import of_docker, of_ec2, try_stack
from infra import engine
from infra.pulumi_cli import ensure_cli

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = ROOT / "playbooks"
VARIABLES = {"axonos_controller_url": "http://127.0.0.1:9", "axonos_homes_gib": 1}


def main() -> int:
    """Entry of the program; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="drift", description=__doc__)
    parser.parse_args()
    began, verdict = time.monotonic(), Verdict()
    with _host() as (box, convergence, key, place):

        def converge(check: bool) -> tuple[str, ...]:
            print(f"{time.monotonic() - began:6.1f} s {'check' if check else 'run'}", file=sys.stderr)
            return convergence.run(box.name, f"root@{box.ip}", key, VARIABLES, check=check).changed

        converge(False)
        _desktop(box, place)
        for batch in (FIRST, SECOND):
            try_batch(batch, place, verdict, shell=box.succeeds, converge=converge)
    _stacks(verdict, lambda line: print(line, file=sys.stderr))
    found = _outcome(verdict, round(time.monotonic() - began))
    print(json.dumps(found))
    return 0 if found["ok"] else 1


@contextmanager
def _host() -> Iterator[tuple[Box, HostConvergence, Path, Place]]:
    state = Path(tempfile.mkdtemp(prefix="axd-", dir="/tmp"))
    state.chmod(0o755)
    instance = f"d{secrets.token_hex(3)}"
    try:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", state / "operator")
        settings = make_settings(
            instance=instance,
            state_dir=str(state),
            run_dir=f"/run/{state.name}",
            playbooks_dir=PLAYBOOKS,
            secrets=make_secrets(state),
        )
        key = state / "operator"
        with boxes(state, state, key.with_suffix(".pub").read_text(), names=("one",)) as (box,):
            reach = SshHosts(state)
            reach.own_key(settings.secrets.guard_token)
            reach.pin(box.ip, reach.host_key(box.ip))
            place = Place(instance, str(state), f"/run/{state.name}")
            yield box, HostConvergence(settings), key, place
    finally:
        shutil.rmtree(state)


def _desktop(box: Box, place: Place) -> None:
    """A session on the host, started by the host's own program; nobody tells its guard to end it."""
    image = build_image()
    try:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            load = ["docker", "exec", "-i", box.container, "docker", "load"]
            subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    finally:
        run("docker", "rmi", "--force", image)
    asked = start_request(place.instance, image, "0x" + "d1" * 20)
    program, config = f"{place.state}/venv/bin/axonos-host", f"{place.state}/host.toml"
    answer = json.loads(box.inside(program, "start", "--config", config, text=json.dumps(asked)))
    assert answer["ok"], answer


def _stacks(verdict: Verdict, report: Callable[[str], None]) -> None:
    """What Pulumi owns: a stack of this machine's engine, and one on EC2 of our own."""
    cli = ensure_cli(ROOT / ".build" / "tools", report)
    with tempfile.TemporaryDirectory(prefix="axd-") as folder, a_world(Path(folder), cli) as world:
        built = save_image(world.folder, world.instance)
        engine.up(world.config(), cli=cli, image=built)
        with of_docker(world) as kinds:
            try_stack(kinds, world, verdict, image=built)
        engine.destroy(world.config(), cli=cli)
    os.environ.update(SECRETS)
    with tempfile.TemporaryDirectory(prefix="axd-") as folder, serving() as ec2:
        cloud = a_cloud(Path(folder), cli, ec2)
        engine.up(cloud.config(), cli=cli)
        try_stack(of_ec2(ec2), cloud, verdict)


def _outcome(verdict: Verdict, seconds: int) -> dict[str, object]:
    figures = {
        "injected": len(verdict.injected),
        "named": len(verdict.named),
        "repaired": len(verdict.repaired),
        "collateral": len(verdict.stray),
    }
    goals = {
        "injected": (">=", 20),
        "named": (">=", figures["injected"]),
        "repaired": (">=", figures["injected"]),
        "collateral": ("<=", 0),
    }
    return {
        "name": "drift",
        "figures": figures | {"seconds": seconds},
        "goals": goals,
        "ok": not verdict.failures and figures["injected"] >= 20,
        "how": f"by hand, in four batches: {', '.join(verdict.injected)}. A Debian host in a container with engine and"
        " SSH server of its own and a desktop on it, by host.yml; Docker's objects and EC2 (a moto server) by Pulumi."
        " Each batch checked or refreshed, repaired by one run or `up`, and looked at again",
        "failures": verdict.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
