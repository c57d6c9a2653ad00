"""Shows a warning inside a desktop, through the image's own program."""

from __future__ import annotations

from controller.guard.report import Warn
from controller.host.config import HostConfig
from controller.host.engine import Engine, EngineRefused
from controller.host.names import Slot
from controller.host.words import HostRefused

PROGRAM = "/usr/libexec/axonos/notify"
TIMEOUT_S = 10


def deliver(config: HostConfig, warn: Warn) -> bool:
    """Run the image's notify program as the session user; whether it showed the warning."""
    body = {
        "Cmd": [PROGRAM, warn.urgency, warn.text],
        "User": f"{config.session_uid}:{config.session_uid}",
        "AttachStdout": True,
        "AttachStderr": True,
    }
    try:
        with Engine(timeout_s=TIMEOUT_S) as engine:
            made = engine.call("POST", f"/containers/{Slot(config, warn.slot).container}/exec", body)
            engine.call("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
            ended = engine.call("GET", f"/exec/{made['Id']}/json")
    except (EngineRefused, HostRefused):
        return False
    return bool(ended["ExitCode"] == 0)
