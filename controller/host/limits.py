"""Whether desktops still have the limits they were started with, and giving those back.

`docker update` changes a container that runs: more memory than was paid for, or one that comes back after a
boot that nobody has a lease for. What it was started with stands in a label, which nothing changes.
"""

from __future__ import annotations

import json
from typing import Any

from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import LABEL_INSTANCE, LABEL_LIMITS, LABEL_SLOT
from controller.host.words import HostRefused

# A limit, and what the engine says of itself where it can set it at all.
LIMITS = {"Memory": "MemoryLimit", "MemorySwap": "SwapLimit", "PidsLimit": "PidsLimit"}


def label(host_config: dict[str, Any]) -> str:
    """The limits of a container that is about to be made, as its label."""
    return json.dumps({name: host_config[name] for name in LIMITS}, sort_keys=True)


def settle(config: HostConfig, *, repair: bool) -> list[str]:
    """Look at every desktop of the instance, and put its limits back if asked to.

    Returns:
        a line for each that differs; none where the engine does not answer, which others tell.

    Raises:
        HostRefused: docker_error, when the engine takes no limit.
    """
    try:
        with Engine() as engine:
            supported = engine.call("GET", "/info")
            able = {name for name, word in LIMITS.items() if supported.get(word)}
            return [
                line for info in _desktops(config, engine) for line in _settle(engine, info, able, repair)
            ]
    except EngineRefused as error:
        raise HostRefused("docker_error", error.message) from error
    except HostRefused as refused:
        if refused.code in ("host_unreachable", "timeout"):
            return []
        raise


def _desktops(config: HostConfig, engine: Engine) -> list[dict[str, Any]]:
    chosen = {"label": [f"{LABEL_INSTANCE}={config.instance}", LABEL_LIMITS]}
    found = engine.call("GET", "/containers/json", filters=chosen)
    return [engine.call("GET", f"/containers/{item['Id']}/json") for item in found]


def _settle(engine: Engine, info: dict[str, Any], able: set[str], repair: bool) -> list[str]:
    labels, now = info["Config"]["Labels"], info["HostConfig"]
    wanted = {name: value for name, value in json.loads(labels[LABEL_LIMITS]).items() if name in able}
    differs = [f"{name} {now[name]}, not {value}" for name, value in wanted.items() if now[name] != value]
    if (policy := now["RestartPolicy"]["Name"]) not in ("", "no"):
        differs.append(f"restarts {policy}")
    if differs and repair:
        back = {**wanted, "RestartPolicy": {"Name": "no"}}
        engine.call("POST", f"/containers/{info['Id']}/update", back)
    return [f"{labels[LABEL_SLOT]}: {one}" for one in differs]
