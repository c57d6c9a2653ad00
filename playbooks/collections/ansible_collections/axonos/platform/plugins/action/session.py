"""One session run: a single exchange with `axonos-host` over the task's own connection.

No module is built, copied or unpacked: a module task costs about 0.4 s on a host, this costs the program.
The result's `axonos` is the program's JSON answer; a failed task carries its word in `axonos.code`.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from ansible.plugins.action import ActionBase

DEFAULT_PROGRAM = "/var/lib/axonos/venv/bin/axonos-host"
ACTIONS = ("start", "stop", "probe", "check", "home-change")
CHANGELESS = ("probe", "check")


class ActionModule(ActionBase):  # type: ignore[misc] # ansible ships no types
    """`axonos.platform.session`: operation, request, program, config."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset(("operation", "request", "program", "config"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and turn the answer into a task result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        operation, request = self._task.args.get("operation"), self._task.args.get("request")
        if operation not in ACTIONS or not isinstance(request, dict):
            return result | _failed(
                "bad_input", f"operation: {', '.join(ACTIONS)}; request: an object", "stop"
            )
        if self._task.check_mode and operation not in CHANGELESS:
            return result | self._foretell(operation, request)
        return result | _result(self._ask(operation, request))

    def _foretell(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """What a start or stop would change, from a probe."""
        answer = self._ask("probe", {"instance": request.get("instance")})
        if not answer["ok"]:
            return _result(answer)
        mine = [slot for slot in answer["slots"] if slot["slot"] == request.get("slot")]
        if operation == "stop":
            return {"changed": bool(mine), "axonos": answer}
        running = [
            s for s in mine if s["state"] == "running" and s["config_digest"] == request.get("config_digest")
        ]
        return {"changed": not running, "axonos": answer}

    def _ask(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        program = [self._task.args.get("program") or DEFAULT_PROGRAM, operation]
        if config := self._task.args.get("config"):
            program += ["--config", config]
        words = shlex.join(program)
        done = self._low_level_execute_command(
            f'if [ "$(id -u)" = 0 ]; then exec {words}; else exec sudo -n {words}; fi',
            sudoable=False,
            in_data=json.dumps(request).encode(),
        )
        return _answer(done)


def _answer(done: dict[str, Any]) -> dict[str, Any]:
    """The program's JSON object, or a refusal in its form when there is none."""
    try:
        answer = json.loads(done["stdout"].strip().splitlines()[-1])
        if isinstance(answer, dict) and isinstance(answer["ok"], bool) and answer["ok"] == (done["rc"] == 0):
            return answer
    except (ValueError, IndexError, KeyError):
        pass
    said = (done.get("stderr") or done.get("stdout") or "nothing").strip()[-300:]
    message = f"axonos-host ended with status {done['rc']} and said: {said}"
    return {"ok": False, "code": "host_unreachable", "message": message, "retry": "elsewhere"}


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    if not answer["ok"]:
        return _failed(
            answer.get("code", "docker_error"), answer.get("message", ""), answer.get("retry", "stop")
        )
    return {"changed": bool(answer.get("changed")), "axonos": answer}


def _failed(code: str, message: str, retry: str) -> dict[str, Any]:
    answer = {"ok": False, "code": code, "message": message, "retry": retry}
    return {"failed": True, "changed": False, "msg": f"{code}: {message}", "axonos": answer}
