"""What tests of playbook runs share: a state folder with a host program that answers as it is told."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from controller.adapters.provisioner import AnsibleProvisioner

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = ROOT / "playbooks"
HOST = {"name": "here", "connection": "local", "address": "127.0.0.1"}
PATIENCE_S = 60
PROGRAM = """#!{python} -IS
import json, os, sys, subprocess, time
request = json.load(sys.stdin)
state = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
umask = os.umask(0)
own = {{"umask": umask, "fds": sorted(os.listdir("/proc/self/fd")), "cwd": os.getcwd(),
       "uid": [os.getuid(), os.getgid(), os.getgroups()], "env": sorted(os.environ)}}
if request.get("sleep_s"):
    if request.get("child"):
        child = subprocess.Popen(["sleep", str(request["sleep_s"])])
        with open(os.path.join(state, "pids"), "w") as file:
            file.write(str(os.getpid()) + " " + str(child.pid))
    with open(os.path.join(state, "asked"), "a") as file:
        file.write(request["slot"] + "\\n")
    for _ in range(int(request["sleep_s"] * 50)):
        if os.path.exists(os.path.join(state, "go")):
            break
        time.sleep(0.02)
answer = request.get("answer", {{"ok": True}}) | {{"said": sys.argv[1:], "slot": request["slot"], "own": own}}
print(json.dumps(answer))
sys.exit(0 if answer["ok"] else 1)
"""


def make_provisioner(state, *, way="warm", playbooks=PLAYBOOKS, **options):
    """A provisioner on a state folder of its own; a warm one is ready."""
    program = state / "venv/bin/axonos-host"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    made = AnsibleProvisioner(playbooks, state, warm=way == "warm", **options)
    assert made.warm is None or made.warm.ready.wait(PATIENCE_S)
    return made


def play(provisioner, request=None, *, playbook="session_start.yml", host=HOST, timeout_s=60, on_event=None):
    """One run; its outcome and its events."""
    events = []

    def heard(event):
        events.append(event)
        if on_event:
            on_event(event)

    outcome = provisioner.run(
        run_id=7,
        playbook=playbook,
        host=host,
        variables={"session_request": {"slot": "s-1", **(request or {})}},
        on_event=heard,
        timeout_s=timeout_s,
    )
    return outcome, events


def eventually(condition, patience_s=PATIENCE_S):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def is_gone(pid):
    """Whether no process of this number does anything any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def children(pid):
    """Processes that this one started or inherited, by number and state."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid:
                found[int(entry.name)] = state
    return found
