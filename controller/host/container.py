"""The container and network of a desktop, as the Docker engine's API wants them. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.host import limits, shell, warm
from controller.host.hostkeys import HostKey
from controller.host.names import LABEL_CONFIG, LABEL_INSTANCE, LABEL_LIMITS, LABEL_SLOT, SHELL_PORT, Slot
from controller.host.request import StartRequest

HOME_INSIDE = "/home/axon"
SOCKETS_INSIDE = "/run/desktop"
SHM_BYTES = 1 << 30
CDI_SINCE = (1, 48)  # Docker 28; before that CDI is off by default or missing
SHELL = {
    "Entrypoint": ["/usr/bin/tini", "--", "/usr/libexec/axonos/ssh"],
    "ExposedPorts": {f"{SHELL_PORT}/tcp": {}},
}
SECCOMP = Path(__file__).with_name("seccomp.json")


def network(slot: Slot, request: StartRequest) -> dict[str, Any]:
    """A bridge of the slot's own, without traffic between containers and without IPv6."""
    index = request.subnet_index
    return {
        "Name": slot.network,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "EnableIPv6": False,
        "IPAM": {"Config": [{"Subnet": str(slot.subnet(index)), "Gateway": str(slot.gateway(index))}]},
        "Options": {
            "com.docker.network.bridge.name": slot.bridge(index),
            "com.docker.network.bridge.enable_icc": "false",
        },
        "Labels": _labels(slot, request),
    }


def container(
    slot: Slot,
    request: StartRequest,
    home: Path,
    *,
    api_version: tuple[int, int],
    host_key: HostKey | None = None,
) -> dict[str, Any]:
    """The session's container: no capability, no root, no more than its share of memory and processes.

    Its share of the CPUs follows when it is up, see `cpu_share`. A shell is the same, with an SSH server as
    its first program, one port that the host passes on, and its home's host key.

    Args:
        slot: names and paths.
        request: checked.
        home: the wallet's folder on the host; what becomes /home for a desktop that waits.
        api_version: of the engine; decides how GPUs are asked for.
        host_key: of the home; for a shell.
    """
    memory = request.memory_mib << 20
    bounds = {"PidsLimit": request.pids, "Memory": memory, "MemorySwap": memory}
    return {
        "Image": request.image,
        "Hostname": "axonos",
        "User": f"{slot.config.session_uid}:{slot.config.session_uid}",
        "WorkingDir": "/" if request.waits else HOME_INSIDE,  # init must not hold a home that goes away
        "Env": _environment(request),
        "Labels": _labels(slot, request) | {LABEL_LIMITS: limits.label(bounds)},
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "NetworkMode": slot.network,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", f"seccomp={SECCOMP.read_text()}"],
            "ReadonlyRootfs": True,
            "Tmpfs": _scratch(request.memory_mib, slot.config.session_uid),
            "Mounts": [
                _home(home, waits=request.waits),
                {"Type": "bind", "Source": str(slot.folder), "Target": SOCKETS_INSIDE},
                *([shell.key_mount(host_key)] if host_key else []),
            ],
            **bounds,
            "ShmSize": SHM_BYTES,
            "CpuShares": warm.UNCLAIMED_SHARES if request.waits else warm.USUAL_SHARES,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            "DeviceRequests": _devices(request, api_version),
            **(shell.published(slot.config, request) if host_key else {}),
        },
        **(SHELL if host_key else {}),
    }


def cpu_share(request: StartRequest, host_cpus: int) -> dict[str, Any]:
    """The update that bounds a painted desktop; the engine refuses a share larger than the machine.

    Painting may use the whole machine: on one CPU it takes 0.4 s longer.
    """
    nano = int(min(request.cpus, host_cpus) * 1_000_000_000)
    return {"NanoCpus": nano, "CpuShares": warm.USUAL_SHARES}


def _home(home: Path, *, waits: bool) -> dict[str, Any]:
    if not waits:
        return {"Type": "bind", "Source": str(home), "Target": HOME_INSIDE}
    return {
        "Type": "bind",
        "Source": str(home),
        "Target": warm.HOMES_INSIDE,
        "BindOptions": {"Propagation": "rslave"},
    }


def _labels(slot: Slot, request: StartRequest) -> dict[str, str]:
    return {
        LABEL_INSTANCE: request.instance,
        LABEL_SLOT: slot.id,
        LABEL_CONFIG: request.config_digest,
    }


def _environment(request: StartRequest) -> list[str]:
    simulated = ["NVIDIA_VISIBLE_DEVICES=void"] if request.simulated else []
    return [
        f"AXONOS_GEOMETRY={request.geometry}",
        f"AXONOS_GPUS={len(request.gpus)}",
        f"AXONOS_SIMULATED={int(request.simulated)}",
        *(["AXONOS_WARM=1"] if request.waits else []),
        *(shell.environment(request) if request.kind == "ssh" else []),
        *simulated,
    ]


def _scratch(memory_mib: int, uid: int) -> dict[str, str]:
    """Writable places besides the home live in the session's own memory: nobody can fill the host's disk."""
    half = f"rw,nosuid,nodev,exec,mode=1777,size={memory_mib // 2}m"
    own = f"rw,nosuid,nodev,noexec,mode=700,size=16m,uid={uid},gid={uid}"
    everybody = {"/tmp": half, "/var/tmp": half}  # noqa: S108 (paths inside the container)
    return everybody | {"/run/axonos": own, f"/run/user/{uid}": own}


def _devices(request: StartRequest, api_version: tuple[int, int]) -> list[dict[str, Any]]:
    if request.simulated:
        return []
    if api_version >= CDI_SINCE:
        return [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={gpu}" for gpu in request.gpus]}]
    return [{"Driver": "nvidia", "DeviceIDs": list(request.gpus), "Capabilities": [["gpu"]]}]
