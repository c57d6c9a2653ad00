"""JSON-RPC in batches over one connection, standard library only."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

Question = tuple[str, list[Any]]


class Asker:
    """Asks one node, many questions at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def all(self, questions: list[Question]) -> list[Any]:
        """The answers in order; a question that the node refuses is answered by None."""
        if not questions:
            return []
        batch = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(questions)
        ]
        self._http.request("POST", "/", json.dumps(batch), {"Content-Type": "application/json"})
        answers = json.loads(self._http.getresponse().read())
        found = {a["id"]: a.get("result") for a in answers}
        return [found[number] for number in range(len(questions))]

    def one(self, method: str, *params: Any) -> Any:
        return self.all([(method, list(params))])[0]

    def close(self) -> None:
        self._http.close()
