"""The doctor looks at every chain, the home chain and the further ones, and at all of their nodes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from chainkit import free_port

from infra.doctor.chains import look_at_nodes, look_at_watchers

HOME, OTHER = "0x" + "a" * 64, "0x" + "b" * 64


class Node(BaseHTTPRequestHandler):
    """A node that knows block 0 of one chain."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"hash": HOME}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Node) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def config(folder: Path, home: list[str], further: list[str], genesis: str = HOME) -> Path:
    def chain(title: str, name: str, urls: list[str], genesis_hash: str) -> str:
        return f'{title}\nname = "{name}"\nrpc_urls = {json.dumps(urls)}\ngenesis_hash = "{genesis_hash}"\n'

    path = folder / "axonos.toml"
    path.write_text(
        chain("[chain]", "Home", home, HOME) + chain("[[further_chains]]", "Far", further, genesis)
    )
    return path


def test_every_chain_that_answers_is_counted(tmp_path, url) -> None:
    ok, said, _ = look_at_nodes(config(tmp_path, [url, url], [url]))
    assert (ok, said) == (True, "Home: 2 of 2 nodes; Far: 1 of 1 nodes")


def test_a_silent_node_of_a_further_chain_is_named_without_its_key(tmp_path, url) -> None:
    silent = f"http://127.0.0.1:{free_port()}/v2/secret-key"
    ok, said, to_do = look_at_nodes(config(tmp_path, [url], [url, silent]))
    assert not ok
    assert said.startswith("Far: 127.0.0.1:")
    assert "does not answer" in said
    assert "secret-key" not in said
    assert "rpc_urls" in to_do


def test_a_further_chain_that_is_another_one_is_named(tmp_path, url) -> None:
    ok, said, _ = look_at_nodes(config(tmp_path, [url], [url], OTHER))
    assert not ok
    assert said.startswith("Far: 127.0.0.1")
    assert said.endswith("is another chain than the configured one")


def test_a_further_chains_watcher_that_stands_still_is_named() -> None:
    home = {"name": "Home", "block_number": 7, "stopped_why": None}
    assert look_at_watchers({"watchers": [home]})[:2] == (True, "Home read to block 7")
    far = {"name": "Far", "block_number": 9, "stopped_why": "another genesis"}
    assert look_at_watchers({"watchers": [home, far]})[:2] == (False, "Far: another genesis")
    unread = {"name": "Far", "block_number": None, "stopped_why": None}
    assert look_at_watchers({"watchers": [home, unread]})[:2] == (False, "Far: not read yet")
    assert not look_at_watchers({})[0]
