"""A machine that is to become a host, as seen by SSH: its key, who may log in, which GPUs it has.

Programs of OpenSSH do the work. Nothing asks: a question that nobody can answer is a refusal.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from controller.adapters.ssh_facts import ADDRESS, KEY, KNOWN_HOSTS
from controller.errors import BadInput, HostKeyRefused, HostLoginRefused, HostUnreachable
from controller.services.ports_hosts import SeenGpu

TIMEOUT_S = 10
QUERY = "nvidia-smi --query-gpu=uuid,name --format=csv,noheader"
# What `ssh` says when the machine is there and does not want us, and when its key is another one.
_NOT_LET_IN = ("Permission denied", "Too many authentication failures")
_OTHER_KEY = ("REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")


class SshHosts:
    """Implements `ports.NewHosts`."""

    def __init__(self, state_dir: Path) -> None:
        """Args: the controller's state folder, where known hosts and the platform's own key are kept."""
        self._known, self._own = state_dir / KNOWN_HOSTS, state_dir / KEY

    def host_key(self, address: str) -> str:
        """The key a machine shows now, as `TYPE BASE64`.

        Raises:
            HostUnreachable: no SSH server answers there.
        """
        _, host, port = _parts(address)
        done = _run(["ssh-keyscan", "-T", str(TIMEOUT_S), "-t", "ed25519", "-p", str(port), host])
        keys = [line.split(None, 1)[1] for line in done.stdout.splitlines() if line and line[0] != "#"]
        if not keys:
            raise HostUnreachable(f"No SSH server answers at {host}, port {port}.", address=address)
        return keys[0].strip()

    def pinned(self, address: str) -> str | None:
        """The key that was accepted for this address."""
        _, host, port = _parts(address)
        names = {host} if port == 22 else {f"[{host}]:{port}"}
        for line in self._lines():
            name, _, key = line.partition(" ")
            if names & set(name.split(",")):
                return key.strip()
        return None

    def pin(self, address: str, key: str) -> None:
        """Accept a key for this address from now on."""
        _, host, port = _parts(address)
        name = host if port == 22 else f"[{host}]:{port}"
        kept = [line for line in self._lines() if line.partition(" ")[0] != name]
        fresh = self._known.with_suffix(".new")
        fresh.write_text("\n".join([*kept, f"{name} {key}"]) + "\n")
        fresh.chmod(0o644)
        fresh.replace(self._known)

    def gpus(self, address: str, login_key: Path) -> list[SeenGpu]:
        """Log in and ask the NVIDIA driver; none where there is no driver.

        Raises:
            HostUnreachable, HostLoginRefused, HostKeyRefused: no command could be run there.
        """
        said = self._ask(address, login_key, f"command -v nvidia-smi >/dev/null || exit 0; {QUERY}")
        lines = [line.partition(",") for line in said.splitlines() if line.strip()]
        return [SeenGpu(uuid.strip(), model.strip()) for uuid, _, model in lines]

    def own_key(self, owner: Path) -> None:
        """Have the key pair with which the platform itself logs in, made once.

        Args:
            owner: a file that belongs to the platform's user, who gets the key.
        """
        if self._own.exists():
            return
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "axonos", "-f", str(self._own)])
        status = owner.stat()
        if os.geteuid() == 0:
            shutil.chown(self._own, status.st_uid, status.st_gid)

    def _ask(self, address: str, login_key: Path, command: str) -> str:
        user, host, port = _parts(address)
        done = _run(
            [
                *("ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={TIMEOUT_S}"),
                *("-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"),
                *("-o", f"UserKnownHostsFile={self._known}", "-o", "GlobalKnownHostsFile=/dev/null"),
                *("-o", "ControlMaster=no", "-i", str(login_key), "-p", str(port), "-l", user, host, command),
            ]
        )
        if done.returncode == 0:
            return done.stdout
        words = (done.stderr.strip() or f"status {done.returncode}")[-400:]
        if any(sign in done.stderr for sign in _NOT_LET_IN):
            raise HostLoginRefused(f"{host} does not let {user} in with {login_key}.", address=address)
        if any(sign in done.stderr for sign in _OTHER_KEY):
            raise HostKeyRefused(f"{host} shows another key than the one that was accepted.", address=address)
        raise HostUnreachable(f"{host}: {words}", address=address)

    def _lines(self) -> list[str]:
        try:
            return [line for line in self._known.read_text().splitlines() if line.strip()]
        except FileNotFoundError:
            return []


def fingerprint(key: str) -> str:
    """`SHA256:…` of a key, as `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _parts(address: str) -> tuple[str, str, int]:
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise BadInput(f"{address!r} is no [user@]address[:port].", field="address")
    return found["user"] or "root", found["host"].strip("[]"), int(found["port"] or 22)


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostUnreachable(f"{command[0]} got no answer within {6 * TIMEOUT_S} s.") from error
    except FileNotFoundError as error:
        raise HostUnreachable(f"There is no program {command[0]}: install openssh-client.") from error
