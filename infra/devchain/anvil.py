"""anvil as a child process that never outlives us."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.devchain.rpc import Rpc, RpcUnreachable

CHAIN_ID = 84532
# Later rules write every block's hash into contract storage: a block would cost 5 ms instead of 0.05 ms.
HARDFORK = "cancun"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class AnvilFailed(RuntimeError):
    """anvil did not start; the message is its own."""


class Anvil:
    """One running node. No account is prefunded: no key of this chain is known to anyone else."""

    def __init__(
        self,
        program: Path,
        port: int,
        options: Sequence[str] = (),
        *,
        hardfork: str = HARDFORK,
        chain_id: int = CHAIN_ID,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.websocket_url = f"ws://127.0.0.1:{port}"
        self.rpc = Rpc(self.url)
        self._process = subprocess.Popen(
            [
                *(str(program), "--host", "127.0.0.1", "--port", str(port), "--quiet", "--no-cors"),
                *("--chain-id", str(chain_id), "--hardfork", hardfork, "--accounts", "0", *options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (one system call, no lock can be held)
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(60):
            try:
                self.rpc.wait(0.5)
            except RpcUnreachable:
                if self._process.poll() is not None:
                    break
            else:
                return
        self.close()
        said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
        raise AnvilFailed(said.strip()[-2000:] or "anvil does not answer")

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Kill it: what must last was kept before, by us."""
        self._process.kill()
        self._process.wait()
        self.rpc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._process.stderr:
            self._process.stderr.close()


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
