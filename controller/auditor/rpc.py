"""One chain's nodes, asked plainly: JSON-RPC in, answers out; who answers first is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

GONE = re.compile(r"missing trie node|historical|prune|state .*not available|BlockOutOfRange", re.IGNORECASE)
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LATEST_ROUND, BALANCE_OF = "0xfeaf968c", "0x70a08231"


class Silent(Exception):
    """No node answers."""


class Forgotten(Exception):
    """The nodes do not keep that state any more."""


class Rpc:
    """Asks nodes in order; never sends anything."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls, self._client = urls, httpx.Client(timeout=20, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, *params: Any) -> Any:
        forgotten = False
        for url in self._urls:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
            try:
                answer = self._client.post(url, json=body).json()
            except (httpx.HTTPError, ValueError):
                continue
            if answer.get("result") is not None:
                return answer["result"]
            forgotten |= bool(GONE.search(str(answer.get("error"))))
        if forgotten:
            raise Forgotten(method)
        raise Silent(method)

    def number(self, method: str, *params: Any) -> int:
        return int(self.ask(method, *params), 16)

    def words(self, to: str, data: str, at: Any) -> list[int]:
        """A contract's answer at a block, as 32-byte words; none where there is no contract."""
        answer = str(self.ask("eth_call", {"to": to, "data": data}, at))[2:]
        return [int(answer[i : i + 64], 16) for i in range(0, len(answer), 64)]

    def held(self, token: str, owner: str, at: Any) -> int:
        return (self.words(token, BALANCE_OF + owner[2:].rjust(64, "0"), at) or [0])[0]

    def logs(self, tokens: Sequence[str], topics: list[Any], first: int, last: int) -> Iterator[Any]:
        """Transfer logs of a range; a range that a node refuses is asked for in halves."""
        wanted = {"address": list(tokens), "topics": [TRANSFER, *topics]}
        try:
            yield from self.ask("eth_getLogs", {**wanted, "fromBlock": hex(first), "toBlock": hex(last)})
        except Silent:
            if first == last:
                raise
            middle = (first + last) // 2
            yield from self.logs(tokens, topics, first, middle)
            yield from self.logs(tokens, topics, middle + 1, last)
