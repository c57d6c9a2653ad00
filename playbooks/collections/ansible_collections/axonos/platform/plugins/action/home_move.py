"""One home from one host to another: what `home-send` of the one writes, `home-receive` of the other reads.

The bytes pass through this process and are counted. Nothing is kept here, and neither host can reach the
other: the controller reaches both. Safe to repeat: a snapshot that has come whole is not sent again.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import IO, Any

from ansible.plugins.action import ActionBase
from ansible_collections.axonos.platform.plugins.plugin_utils.host_program import answer, ask, command

CHUNK = 1 << 18
END_S = 60
OWN = "s-"  # a snapshot that its owner kept


class ActionModule(ActionBase):  # type: ignore[misc] # ansible ships no types
    """`axonos.platform.home_move`: source, request."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("source", "request"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Move it, and turn the answer into a task result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        source = dict(variables["hostvars"][self._task.args["source"]])
        found = move(source, variables, dict(self._task.args["request"]))
        if found["ok"]:
            return result | {"changed": bool(found.get("changed")), "axonos": found}
        return result | {"failed": True, "msg": f"{found['code']}: {found['message']}", "axonos": found}


def move(source: dict[str, Any], target: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Bring one snapshot of a home from `source` to `target`.

    Args:
        source: variables of the host that has the home.
        target: variables of the host that is to have it.
        request: instance, home, name, close, generation; as `axonos-host home-send` takes them.

    Returns:
        the program's answer, with `bytes_sent` that went between the hosts and `ms` it took.
    """
    began = time.monotonic()
    home = {key: request[key] for key in ("instance", "home")}
    there = ask(target, "home-list", home)
    if not there["ok"]:
        return there
    if request["name"] in there["snapshots"]:
        return {"ok": True, "changed": False, "name": request["name"], "bytes_sent": 0, "ms": _ms(began)}
    said = _carry(source, target, {**request, "have": there["snapshots"]})
    if said["ok"] and not request["name"].startswith(OWN):  # it is no newer than what else is there
        for host in (source, target):  # older ones: what is not removed now is removed the next time
            ask(host, "home-forget", {**home, "keep": [request["name"]]})
    return {**said, "ms": _ms(began)}


def _carry(source: dict[str, Any], target: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    announced = {key: request[key] for key in ("instance", "home", "name")}
    with (
        subprocess.Popen(command(target, "home-receive"), **pipes) as taker,
        subprocess.Popen(command(source, "home-send"), **pipes) as sender,
    ):
        try:
            _say(sender.stdin, json.dumps(request).encode())
            _say(taker.stdin, json.dumps(announced).encode() + b"\n", last=False)
            passed = _pump(sender.stdout, taker.stdin)
            said, complained = taker.communicate(timeout=END_S)
            sender.stdout.close()
            words = sender.stderr.read().decode(errors="replace") + complained.decode(errors="replace")
            return {**answer(said, words, taker.returncode), "bytes_sent": passed}
        finally:
            for process in (sender, taker):
                if process.poll() is None:
                    process.kill()


def _pump(source: IO[bytes] | None, target: IO[bytes] | None) -> int:
    """Everything from one to the other; how many bytes. Where one ends early, the other tells why."""
    assert source is not None
    assert target is not None
    passed = 0
    while data := source.read1(CHUNK):  # type: ignore[attr-defined] # a pipe is buffered
        try:
            target.write(data)
            target.flush()
        except BrokenPipeError:
            break
        passed += len(data)
    return passed


def _say(pipe: IO[bytes] | None, words: bytes, *, last: bool = True) -> None:
    assert pipe is not None
    try:
        pipe.write(words)
        pipe.flush()
        if last:
            pipe.close()
    except BrokenPipeError:
        pass  # it has ended: what it said on its other pipes tells why


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
