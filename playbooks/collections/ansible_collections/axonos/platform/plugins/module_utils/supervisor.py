"""Services under supervisord, for machines where no systemd runs."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed
from ansible_collections.axonos.platform.plugins.module_utils.service import PATH, Service

LOG_BYTES = 10_000_000
START_S = 15
STARTING_S = 2


class Supervisor:
    """One supervisord per instance, reached by its unix socket; root's alone."""

    def __init__(self, instance: str, folder: Path, run_dir: Path, log_dir: Path, program: str) -> None:
        self.instance = instance
        self.folder = folder
        self.run_dir = run_dir
        self.log_dir = log_dir
        self.program = program
        self.socket = run_dir / "supervisor.sock"

    def prepare(self) -> None:
        """Have the daemon and its folders."""
        for path in (self.folder / "programs", self.log_dir, self.run_dir):
            path.mkdir(parents=True, exist_ok=True)
        config = self.folder / "supervisord.conf"
        if not config.exists() or config.read_text() != self._daemon_text():
            config.write_text(self._daemon_text())
        if not self._is_up():
            self._start_daemon(config)

    def definition(self, service: Service) -> Path:
        return self.folder / "programs" / f"{service.name}.conf"

    def text(self, service: Service) -> str:
        """The program's section. Percent signs mean expansion to supervisord, so they are doubled."""
        environment = ",".join(f'{key}="{value}"' for key, value in sorted(service.environment.items()))
        lines = [
            f"[program:{service.name}]",
            "command=" + " ".join(_quoted(word) for word in service.command),
            f"directory={service.directory}",
            f"user={service.user}",
            "environment=" + environment,
            f"stopsignal={service.stop_signal}",
            f"stopwaitsecs={service.stop_s}",
            "autorestart=true",
            "startretries=1000",
            "startsecs=1",
            "redirect_stderr=true",
            f"stdout_logfile={self.log(service.name)}",
            f"stdout_logfile_maxbytes={LOG_BYTES}",
            "stdout_logfile_backups=3",
            "umask=027",
        ]
        return lines[0] + "\n" + "".join(line.replace("%", "%%") + "\n" for line in lines[1:])

    def log(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def pid(self, service: Service) -> int:
        """The running process, 0 if there is none; one that is just starting is waited for."""
        until = time.monotonic() + STARTING_S
        while True:
            known = [info for info in self._all() if info["name"] == service.name]
            state = known[0]["statename"] if known else "STOPPED"
            if state != "STARTING" or time.monotonic() > until:
                return int(known[0]["pid"]) if state == "RUNNING" else 0
            time.sleep(0.1)

    def apply(self, service: Service) -> None:
        """Run the definition as it is written now, from a fresh start."""
        self.prepare()
        self.stop(service.name)
        self._call("reloadConfig")
        self._call("addProcessGroup", service.name)

    def stop(self, name: str) -> bool:
        """Stop and forget a program; false if it was not known."""
        if name not in {info["name"] for info in self._all()}:
            return False
        for method in ("stopProcess", "removeProcessGroup"):
            try:
                self._call(method, name)
            except xmlrpc.client.Fault as fault:
                if method == "removeProcessGroup":
                    raise CommandFailed(f"{name} did not stop: {fault.faultString}") from fault
        return True

    def shut_down(self) -> bool:
        """End the daemon itself; false if there was none."""
        if not self._is_up():
            return False
        self._call("shutdown")
        until = time.monotonic() + START_S
        while self._is_up() and time.monotonic() < until:
            time.sleep(0.1)
        return True

    def last_lines(self, name: str) -> str:
        """The end of a program's log, and why it could not even be started."""
        refused = [str(info["spawnerr"]) for info in self._all() if info["name"] == name and info["spawnerr"]]
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-40:] + refused)
        except OSError:
            return "\n".join(refused)

    def _start_daemon(self, config: Path) -> None:
        self.socket.unlink(missing_ok=True)
        started = subprocess.run(
            [self.program, "--configuration", str(config)],
            env={"PATH": PATH, "LANG": "C.UTF-8", "AXONOS_INSTANCE": self.instance},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        until = time.monotonic() + START_S
        while started.returncode == 0 and time.monotonic() < until:
            if self._is_up():
                return
            time.sleep(0.05)
        raise CommandFailed(f"supervisord did not start: {(started.stderr or started.stdout).strip()[-500:]}")

    def _daemon_text(self) -> str:
        return (
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700\n\n"
            f"[supervisord]\nuser=root\nlogfile={self.log_dir}/supervisord.log\nlogfile_backups=1\n"
            f"pidfile={self.run_dir}/supervisord.pid\nchildlogdir={self.log_dir}\n\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[supervisorctl]\nserverurl=unix://{self.socket}\n\n"
            f"[include]\nfiles = {self.folder}/programs/*.conf\n"
        )

    def _is_up(self) -> bool:
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def _all(self) -> list[dict[str, Any]]:
        try:
            found: Any = self._call("getAllProcessInfo")
        except OSError:
            return []
        return list(found)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(str(self.socket))
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        made = _UnixConnection(self._path)
        self._connection = host, made  # what the base class closes
        return made


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def _quoted(word: str) -> str:
    safe = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"' if set(word) & set(" '\"\\;()") else word
