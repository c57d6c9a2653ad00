"""A node that can be made to lag, lie, stall, break off or talk nonsense: a proxy in front of a real one.

`faults` are tried in their order on each question; the first that has an answer gives it, the others let the
question pass to the real node. All of it is HTTP on loopback, as a node of a provider would be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Question = dict[str, Any]
# Gets one question and how to ask the real node; returns a whole JSON-RPC answer, or None for "not my case".
Fault = Callable[[Question, Callable[[Question], dict[str, Any]]], dict[str, Any] | None]


@dataclass
class HostileNode:
    """What it was asked, and how it misbehaves."""

    url: str
    behind: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    drip_s: float | None = None
    batches: int = 10_000
    stopped: threading.Event = field(default_factory=threading.Event)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, verify=False))

    def heal(self) -> None:
        """Be an honest node again."""
        self.faults, self.status, self.body, self.drip_s, self.batches = [], 200, None, None, 10_000

    def answer(self, question: Question) -> dict[str, Any]:
        self.asked.append(question)
        for fault in self.faults:
            said = fault(question, self.ask)
            if said is not None:
                return said
        return self.ask(question)

    def respond(self, asked: Any) -> tuple[int, bytes]:
        """Status and body for a request of one question or several."""
        several = isinstance(asked, list)
        broken = self.body is not None or self.status != 200
        if not broken and several and len(asked) > self.batches:
            return 413, b"too many"
        if broken or not self.faults:
            self.asked += asked if several else [asked]
        if broken:
            return self.status, self.body or b""
        if not self.faults:
            return 200, self.http.post(self.behind, json=asked).content
        said = [self.answer(question) for question in asked] if several else self.answer(asked)
        return 200, json.dumps(said).encode()

    def ask(self, question: Question) -> dict[str, Any]:
        """The real node's answer."""
        found: dict[str, Any] = self.http.post(self.behind, json=question).json()
        return found

    def methods(self) -> list[str]:
        return [question["method"] for question in self.asked]


@contextmanager
def hostile(behind: str) -> Iterator[HostileNode]:
    """A proxy on a port of its own, gone at the end; its address holds a key that must not be told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._send(*node.respond(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                if node.drip_s is None:
                    self.wfile.write(body)
                    return
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if node.stopped.wait(node.drip_s):
                        return
            except OSError:
                return  # the reader had enough

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    node = HostileNode(f"http://127.0.0.1:{server.server_port}/v3/secret-api-key", behind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield node
    finally:
        node.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
        node.http.close()


def result(question: Question, value: Any) -> dict[str, Any]:
    """A JSON-RPC answer."""
    return {"jsonrpc": "2.0", "id": question["id"], "result": value}


def error(code: int, message: str, *methods: str) -> Fault:
    """Refuse these methods, or all."""

    def fault(question: Question, _: Any) -> dict[str, Any] | None:
        if methods and question["method"] not in methods:
            return None
        said = {"code": code, "message": message}
        return {"jsonrpc": "2.0", "id": question["id"], "error": said}

    return fault


def changed(method: str, change: Callable[[Any], Any]) -> Fault:
    """Answer one method with the real node's result, changed."""

    def fault(question: Question, ask: Callable[[Question], dict[str, Any]]) -> dict[str, Any] | None:
        if question["method"] != method:
            return None
        return result(question, change(ask(question).get("result")))

    return fault


def forging(number: int, name: str) -> Fault:
    """Give the block of a number another hash."""

    def forge(block: Any) -> Any:
        return block | {"hash": name} if int(block["number"], 16) == number else block

    return changed("eth_getBlockByNumber", forge)


def lagging(at: int) -> Fault:
    """Know no block above a number."""

    def fault(question: Question, ask: Callable[[Question], dict[str, Any]]) -> dict[str, Any] | None:
        method, params = question["method"], question["params"]
        if method == "eth_blockNumber":
            return result(question, hex(at))
        if method == "eth_getBlockByNumber":
            if params[0] == "latest":
                return ask({**question, "params": [hex(at), *params[1:]]})
            return result(question, None) if int(params[0], 16) > at else None
        known = json.dumps(params)
        for part in known.split('"'):
            if len(part) == 66 and part.startswith("0x"):
                block = ask({**question, "method": "eth_getBlockByHash", "params": [part, False]})
                if block.get("result") and int(block["result"]["number"], 16) > at:
                    if method == "eth_getBlockByHash":
                        return result(question, None)
                    return error(-32000, "header not found")(question, ask)
        return None

    return fault
