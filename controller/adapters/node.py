"""A web3 provider that opens a connection a request: web3's own keeps one for each thread that ever asked."""

from __future__ import annotations

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint


class OneShotProvider(HTTPProvider):
    """For the few questions of sign-in and faucet, asked from any thread of the site."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Args: the node; seconds for one answer. Nothing is retried: the asker decides."""
        super().__init__(url, exception_retry_configuration=None)
        self._url, self._timeout_s = url, timeout_s

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        del method
        headers = {"Content-Type": "application/json"}
        answer = requests.post(self._url, data=request_data, headers=headers, timeout=self._timeout_s)
        answer.raise_for_status()
        return answer.content
