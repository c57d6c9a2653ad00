"""Small programs that checks run inside the container with its own Python, passed on stdin."""

from __future__ import annotations

WINDOWS = """
import json, sys
sys.path.insert(0, "/usr/libexec/axonos")
from x11 import Display
display = Display()
print(json.dumps([display.title(window) for window in display.windows()]))
"""

# Listening TCP sockets (state 0A) and bound UDP sockets, as local addresses.
PORTS = """
import json
from pathlib import Path
found = []
for name, states in (("tcp", {"0A"}), ("tcp6", {"0A"}), ("udp", {"07"}), ("udp6", {"07"})):
    for line in Path("/proc/net", name).read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state in states:
            found.append(f"{name} {local}")
print(json.dumps(found))
"""

# Every process with its user; `status` lines are real, effective, saved and file-system uid.
USERS = """
import json
from pathlib import Path
found = {}
for folder in Path("/proc").iterdir():
    if folder.name.isdigit():
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines())
        users = map(int, fields["Uid"].split())
        found[int(folder.name)] = [fields["Name"].strip(), *users, fields["CapEff"].strip()]
print(json.dumps(found))
"""

# What JupyterLab answers with its token, and to its API without it.
JUPYTERLAB = """
import json, sys, urllib.error, urllib.request
def status(address):
    try:
        return urllib.request.urlopen(address, timeout=20).status
    except urllib.error.HTTPError as refused:
        return refused.code
address = sys.argv[1].replace("localhost", "127.0.0.1")
print(json.dumps([status(address), status(address.split("/lab")[0] + "/api/status")]))
"""

# Firefox's processes: kind, user and network namespace, number of seccomp filters.
FIREFOX = """
import json, os
from pathlib import Path
found = []
for folder in Path("/proc").iterdir():
    if not folder.name.isdigit():
        continue
    try:
        text = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\\0", " ")
        if "/firefox" not in text and not text.startswith("firefox"):
            continue
        kind = text.split()[-1] if "-contentproc" in text else (folder / "comm").read_text().strip()
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        found.append({
            "kind": kind,
            "user": os.readlink(folder / "ns/user"),
            "net": os.readlink(folder / "ns/net"),
            "root": os.readlink(folder / "root"),
            "filters": int(status.get("Seccomp_filters", "0")),
        })
    except OSError:
        continue
print(json.dumps(found))
"""

# Another in the place of the settings' daemon and of the window manager, as people do who mend their desktop.
REPLACE = """
import os, signal, subprocess, time
from pathlib import Path
for folder in Path("/proc").iterdir():
    if folder.name.isdigit():
        try:
            name = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if name == "xfconfd":
            os.kill(int(folder.name), signal.SIGTERM)
until = time.monotonic() + 5  # the first to ask may still have reached the old one
while subprocess.run(["xfconf-query", "--list"], capture_output=True).returncode and time.monotonic() < until:
    pass
nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(["xfwm4", "--replace", "--compositor=off"], start_new_session=True, **nothing)
"""
