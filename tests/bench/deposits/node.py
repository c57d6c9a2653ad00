"""Nodes as the product's reader sees them: each question is a step, and a node may be down, slow, behind or lie.

Everything that is answered comes from the real anvil; a fault spoils the answer on its way. The transport
takes the place of httpx's own, so the whole of the product's client code runs.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import httpx

from controller.adapters import chain_node
from deposits.schedule import Killed, Scheduler

Answer = Callable[[str, list[Any]], Any]
# Spoils what a node answers: gets the honest way to ask it, the method and the parameters.
Spoil = Callable[[Answer, str, list[Any]], Any]


class Refused(Exception):
    """The node's JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.error = error


class Wire:
    """JSON-RPC to anvil with as little in between as can be."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(
            httpx.URL(url).host, httpx.URL(url).port or 80, timeout=60
        )

    def __call__(self, method: str, *params: Any) -> Any:
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        self._connection.request("POST", "/", json.dumps(question), {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def close(self) -> None:
        self._connection.close()


@dataclass
class Node:
    """One node of a chain. `version` counts what has happened on the chain; answers are kept for one of it."""

    wire: Wire
    spoil: Spoil | None = None
    version: int = 0
    asked: int = 0
    _kept: dict[Any, Any] = field(default_factory=dict)
    _kept_of: int = -1

    def answer(self, method: str, params: list[Any]) -> Any:
        """What the node says.

        Raises:
            Refused: its JSON-RPC error.
            httpx.TransportError: it does not answer.
        """
        self.asked += 1
        if self.spoil:
            return self.spoil(self._honest, method, params)
        return self._honest(method, params)

    def _honest(self, method: str, params: list[Any]) -> Any:
        if self._kept_of != self.version:
            self._kept.clear()
            self._kept_of = self.version
        key = json.dumps([method, params])
        if key not in self._kept:
            try:
                self._kept[key] = (True, self.wire(method, *params))
            except Refused as refused:
                self._kept[key] = (False, refused)
        fine, said = self._kept[key]
        if not fine:
            raise said
        return said


class Transport(httpx.BaseTransport):
    """Carries the product's questions to the nodes named by the URL's host, one step each."""

    def __init__(self, nodes: dict[str, Node], scheduler: Scheduler | None) -> None:
        self._nodes, self._scheduler = nodes, scheduler

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.read())
        node = self._nodes[request.url.host]
        questions = asked if isinstance(asked, list) else [asked]
        self._step("ask " + " ".join(_told(q) for q in questions[:3]), request)
        said = []
        for place, question in enumerate(questions):
            if place and place == len(questions) // 2:
                self._step("ask the rest", request)  # a node may change its mind in the middle of a batch
            said.append(self._one(node, question))
        body = json.dumps(said if isinstance(asked, list) else said[0]).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))

    def _step(self, label: str, request: httpx.Request) -> None:
        fault = self._scheduler.step(label) if self._scheduler else None
        if fault == "kill" and self._scheduler:
            self._scheduler.die()
            raise Killed
        if fault:
            raise httpx.ReadError("the connection was cut", request=request)

    @staticmethod
    def _one(node: Node, question: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": question["id"]}
        try:
            return {**head, "result": node.answer(question["method"], question["params"])}
        except Refused as refused:
            return {**head, "error": refused.error}


def _told(question: dict[str, Any]) -> str:
    params = question["params"]
    at = f" {params[0][:8]}" if params and isinstance(params[0], str) else ""
    if at and not question["method"].endswith("ByNumber"):
        at = ""  # hashes differ from run to run; the order of steps must not
    return question["method"].removeprefix("eth_") + at


@contextmanager
def in_place_of_http(
    nodes: dict[str, Node], scheduler: Scheduler | None, monotonic: Callable[[], float]
) -> Iterator[None]:
    """Chain readers made inside ask these nodes, and rest those that failed by this clock."""
    real, begin = httpx.Client, chain_node.Node.__init__

    def client(**_: Any) -> httpx.Client:
        return real(transport=Transport(nodes, scheduler))

    def made(node: chain_node.Node, *arguments: Any, **options: Any) -> None:
        begin(node, *arguments, **options)
        node._monotonic = monotonic

    with mock.patch("httpx.Client", client), mock.patch.object(chain_node.Node, "__init__", made):
        yield


def down(_: Answer, method: str, __: list[Any]) -> Any:
    """Nobody listens."""
    raise httpx.ConnectError(f"refused: {method}")


def slow(_: Answer, method: str, __: list[Any]) -> Any:
    """It takes the question and never answers."""
    raise httpx.ReadTimeout(f"no answer: {method}")


def overloaded(_: Answer, __: str, ___: list[Any]) -> Any:
    """It answers that there were too many questions."""
    raise Refused({"code": -32005, "message": "limit exceeded"})


def behind(blocks: int) -> Spoil:
    """It does not know the newest blocks yet."""

    def spoil(ask: Answer, method: str, params: list[Any]) -> Any:
        newest = int(ask("eth_blockNumber", []), 16) - blocks
        if method == "eth_blockNumber":
            return hex(newest)
        if method == "eth_getBlockByNumber" and params[0] in {"latest", "pending", "safe"}:
            return ask(method, [hex(newest), *params[1:]])
        said = ask(method, params)
        number = said.get("blockNumber", said.get("number")) if isinstance(said, dict) else None
        return None if number is not None and int(number, 16) > newest else said

    return spoil


def forgetful(blocks: int) -> Spoil:
    """It keeps the state of its newest blocks only, as most nodes do."""

    def spoil(ask: Answer, method: str, params: list[Any]) -> Any:
        if method in {"eth_call", "eth_getBalance"} and params[1] != "latest":
            at = params[1]["blockHash"] if isinstance(params[1], dict) else None
            block = ask("eth_getBlockByHash", [at, False]) if at else {"number": params[1]}
            if block and int(block["number"], 16) <= int(ask("eth_blockNumber", []), 16) - blocks:
                raise Refused({"code": -32000, "message": "missing trie node"})
        return ask(method, params)

    return spoil


def without_logs(ask: Answer, method: str, params: list[Any]) -> Any:
    """It has lost its index of logs and says that there are none."""
    return [] if method == "eth_getLogs" else ask(method, params)


def silent_about(method_lost: str) -> Spoil:
    """It answers one kind of question with null."""
    return lambda ask, method, params: None if method == method_lost else ask(method, params)


def failing_at(method_lost: str) -> Spoil:
    """It answers one kind of question with an error."""

    def spoil(ask: Answer, method: str, params: list[Any]) -> Any:
        if method == method_lost:
            raise Refused({"code": -32603, "message": "internal error"})
        return ask(method, params)

    return spoil


def changing(method_changed: str, change: Callable[[Any], Any]) -> Spoil:
    """It lies about one kind of question."""

    def spoil(ask: Answer, method: str, params: list[Any]) -> Any:
        said = ask(method, params)
        return change(json.loads(json.dumps(said))) if method == method_changed else said

    return spoil
