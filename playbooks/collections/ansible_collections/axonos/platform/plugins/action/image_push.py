"""One image to one host: the archive's bytes go straight into `axonos-host image-load`, which checks them.

Nothing is sent to a host that has the image already.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.axonos.platform.plugins.plugin_utils.host_program import (
    answer,
    ask,
    command,
    refusal,
)

ACTION = "image-load"
CHUNK = 1 << 20
LOAD_S = 900


class ActionModule(ActionBase):  # type: ignore[misc] # ansible ships no types
    """`axonos.platform.image_push`: request."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("request",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Push it, and turn the answer into a task result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        request = dict(self._task.args["request"])
        found = push(task_vars or {}, request, check=bool(self._task.check_mode))
        if found["ok"]:
            return result | {"changed": bool(found.get("changed")), "axonos": found}
        return result | {"failed": True, "msg": f"{found['code']}: {found['message']}", "axonos": found}


def push(host: dict[str, Any], request: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """Have the image on a host.

    Args:
        host: its variables, as the inventory has them.
        request: instance, image_id, signature, archive.
        check: only say whether it would be sent.
    """
    began, archive = time.monotonic(), Path(request["archive"])
    asked = {key: request[key] for key in ("instance", "image_id", "signature")}
    there = ask(host, ACTION, asked | {"bytes": 0})
    if there["ok"] or there["code"] != "image_missing":
        return there | {"bytes_sent": 0}
    if check:
        return {"ok": True, "changed": True, "bytes_sent": 0}
    try:
        size = archive.stat().st_size
        found = _carry(host, archive, asked | {"bytes": size})
    except OSError as error:
        return refusal("image_missing", f"{archive}: {error.strerror}", "stop")
    except subprocess.TimeoutExpired:
        return refusal("timeout", f"the image was not loaded within {LOAD_S} s", "here")
    return {**found, "bytes_sent": size, "ms": round((time.monotonic() - began) * 1000)}


def _carry(host: dict[str, Any], archive: Path, asked: dict[str, Any]) -> dict[str, Any]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with archive.open("rb") as content, subprocess.Popen(command(host, ACTION), **pipes) as taker:
        assert taker.stdin is not None
        try:
            with suppress(BrokenPipeError):  # it has ended: what it said tells why
                taker.stdin.write(json.dumps(asked).encode() + b"\n")
                shutil.copyfileobj(content, taker.stdin, CHUNK)
            said, complained = taker.communicate(timeout=LOAD_S)
            return answer(said, complained.decode(errors="replace"), taker.returncode)
        finally:
            if taker.poll() is None:
                taker.kill()
