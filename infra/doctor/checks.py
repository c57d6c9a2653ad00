"""One function per check; each answers in seconds, says what it saw, and what to do if that is not well."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.built_image import built_image
from infra.docker_engine import docker_answers
from infra.doctor.chains import Answer, look_at_nodes, look_at_watchers
from infra.errors import InfraError
from infra.first.machine import check_disk, check_system
from infra.instance import Instance

AGAIN = "Run `make up`: it repairs what differs and names it."
REPORT_LIMIT_MS = 15_000
COLD_LIMIT = 5  # one or two are cold while a server starts
FEW_GIB = 0.5


@dataclass(frozen=True)
class Check:
    """What one check saw."""

    name: str
    ok: bool
    message: str
    to_do: str = ""


def run_checks(instance: Instance) -> list[Check]:
    """Every check; one that breaks counts as failed and does not hide the others."""
    found = []
    for name, check in CHECKS.items():
        try:
            ok, message, to_do = check(instance)
        except InfraError as error:
            message, _, to_do = error.message.partition("\n  What to do: ")
            ok = False
        except Exception as error:  # noqa: BLE001 -- the doctor tells it and goes on
            ok, message, to_do = False, f"{type(error).__name__}: {error}", AGAIN
        found.append(Check(name, ok, message, "" if ok else to_do or AGAIN))
    return found


def _system(_: Instance) -> Answer:
    return True, check_system(force=False), ""


def _disk(instance: Instance) -> Answer:
    return True, check_disk(instance), ""


def _homes(instance: Instance) -> Answer:
    mount = instance.state / "homes"
    if not mount.is_mount():
        return False, f"{mount} is not mounted", AGAIN
    free = shutil.disk_usage(mount).free / 1024**3
    return (
        free > FEW_GIB,
        f"{free:.1f} GiB free for homes",
        "Ask people to clear up.",
    )


def _docker(_: Instance) -> Answer:
    ok = docker_answers()
    return ok, "the engine answers" if ok else "the engine does not answer", AGAIN


def _image(instance: Instance) -> Answer:
    built = built_image(instance.state / "images")
    if built is None:
        return False, "no desktop image was built", "Run `axonos image build`."
    seen = subprocess.run(["docker", "image", "inspect", built.image_id], capture_output=True, check=False)
    where = "is in Docker" if seen.returncode == 0 else "is not in Docker"
    return seen.returncode == 0, f"{built.image_id[:19]} {where}", AGAIN


def _postgres(instance: Instance) -> Answer:
    path = instance.run / "postgres" / ".s.PGSQL.5432"
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(3)
        probe.connect(str(path))
    return True, f"answers at {path.parent}", ""


def _chain(instance: Instance) -> Answer:
    return look_at_nodes(instance.config)


def _web(instance: Instance) -> Answer:
    with urllib.request.urlopen(f"{instance.origin}/healthz", timeout=10) as answer:  # noqa: S310
        return answer.status == 200, f"{instance.origin} answers", ""


def _gateway(instance: Instance) -> Answer:
    socket.create_connection(("127.0.0.1", instance.gateway_port), timeout=3).close()
    return True, f"listens on port {instance.gateway_port}", ""


def _worker(instance: Instance) -> Answer:
    connected = bool(_status(instance).get("worker_connected"))
    return connected, "is connected" if connected else "is not connected", "See `axonos logs worker`."


def _runs(instance: Instance) -> Answer:
    found = _status(instance).get("runs", {})
    cold, why = found.get("cold_in_a_row", 0), found.get("last_cold_why") or "the warm server is not there"
    if cold >= COLD_LIMIT:
        return False, f"the last {cold} runs were cold, which is slow: {why}", "See `axonos logs worker`."
    return True, f"{found.get('warm', 0)} warm and {found.get('cold', 0)} cold of the last ones", ""


def _guard(instance: Instance) -> Answer:
    ages = _status(instance).get("last_report_ms_ago", {})
    late = [name for name, age in ages.items() if age is None or age > REPORT_LIMIT_MS]
    said = f"no report from {', '.join(late)}" if late else f"{len(ages)} host(s) report"
    return bool(ages) and not late, said, "See `axonos logs guard`."


def _watcher(instance: Instance) -> Answer:
    return look_at_watchers(_status(instance))


@cache
def _status(instance: Instance) -> dict[str, Any]:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("axonos")), "status", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "/usr/bin:/bin", "AXONOS_CONFIG": str(instance.config)},
    )
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    if "instance" not in found:
        raise InfraError(str(found.get("error", {}).get("message") or done.stderr.strip()[-300:]))
    return found


CHECKS: dict[str, Callable[[Instance], Answer]] = {
    "system": _system,
    "disk": _disk,
    "docker": _docker,
    "desktop image": _image,
    "homes": _homes,
    "postgres": _postgres,
    "chains": _chain,
    "web": _web,
    "gateway": _gateway,
    "worker": _worker,
    "runs": _runs,
    "guard": _guard,
    "watchers": _watcher,
}
