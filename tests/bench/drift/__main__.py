"""`python -m drift`: a host of its own, reached by SSH, converged, altered by hand. Prints one JSON object."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes import make_settings
from fleet_kit import Box, boxes, make_secrets, run

from controller.adapters.convergence import HostConvergence
from controller.adapters.ssh_hosts import SshHosts
from drift.judge import Verdict, try_batch
from drift.kinds import FIRST, SECOND, Place

PLAYBOOKS = Path(__file__).resolve().parents[3] / "playbooks"
VARIABLES = {"axonos_controller_url": "http://127.0.0.1:9", "axonos_homes_gib": 1}


def main() -> int:
    """Entry of the program; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="drift", description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="no progress")
    quiet = parser.parse_args().quiet
    began = time.monotonic()
    with _host() as (box, convergence, key, place):

        def converge(check: bool) -> tuple[str, ...]:
            if not quiet:
                print(f"{time.monotonic() - began:6.1f} s {'check' if check else 'run'}", file=sys.stderr)
            return convergence.run(box.name, f"root@{box.ip}", key, VARIABLES, check=check).changed

        converge(False)
        verdict = Verdict()
        for batch in (FIRST, SECOND):
            try_batch(batch, place, verdict, shell=box.succeeds, converge=converge)
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
        "how": f"a Debian host in a container with engine and SSH server of its own, converged by host.yml, altered"
        f" by hand in two batches ({', '.join(verdict.injected)}); each batch checked, repaired by one run and"
        " checked again. Docker objects and cloud resources are Pulumi's: `axonos infra refresh` names those",
        "failures": verdict.failures,
    }


if __name__ == "__main__":
    sys.exit(main())
