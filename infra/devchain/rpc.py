"""JSON-RPC to the local node, nothing more."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import httpx


class RpcRefused(RuntimeError):
    """The node answered with an error."""


class RpcUnreachable(RuntimeError):
    """No node answers at this address."""


class Rpc:
    """One node over HTTP; a connection kept open."""

    def __init__(self, url: str, *, timeout_s: float = 60) -> None:
        self.url = url
        self._http = httpx.Client(timeout=timeout_s)
        self._ids = count(1)

    def __call__(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            answer = self._http.post(self.url, json=request).json()
        except (httpx.HTTPError, ValueError) as error:
            raise RpcUnreachable(f"{self.url}: {error}") from error
        if "error" in answer:
            raise RpcRefused(f"{method}: {answer['error'].get('message', answer['error'])}")
        return answer["result"]

    def head(self) -> int:
        return int(self("eth_blockNumber"), 16)

    def wait(self, seconds: float) -> None:
        """Wait until the node answers.

        Raises:
            RpcUnreachable: it did not within `seconds`.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                self("eth_chainId")
            except RpcUnreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        self._http.close()
