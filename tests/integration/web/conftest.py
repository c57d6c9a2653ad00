"""The site on real PostgreSQL, a chain in memory, and a node that answers what a test tells it to."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeChain, FakeClock, make_deps, make_settings
from openapi_kit import watch
from web_kit import Node, Site

from controller.adapters.database import PostgresDatabase
from controller.settings import Local

with warnings.catch_warnings():
    # web3 imports a part of websockets that warns of its end at import; nothing of ours uses it.
    warnings.filterwarnings("ignore", message="websockets.legacy", category=DeprecationWarning)
    from controller.adapters.sign_in import SiweVerifier
    from controller.app import create_app


@pytest.fixture
def node() -> Iterator[Node]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls = call if isinstance(call, list) else [call]
            found.asked += [c["method"] for c in calls]
            said = [
                {"jsonrpc": "2.0", "id": c.get("id"), "result": found.answers.get(c["method"], "0x")}
                for c in calls
            ]
            body = json.dumps(said if isinstance(call, list) else said[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Node(f"http://127.0.0.1:{server.server_port}", {"eth_chainId": hex(84532)})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_site(database: PostgresDatabase, node: Node, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    for name in ("web_key", "ticket", "ethers.js"):
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / "guard_token").write_text("the-guards-token\n")
    (tmp_path / "faucet_key").write_text("0x" + "fa" * 32)
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "rfb.js").write_text("export default class {}")

    def make(mode: str = "production", **sections: Any) -> Site:
        local = Local(faucet_key=tmp_path / "faucet_key", ethers_js=tmp_path / "ethers.js")
        secrets = {"web_key": "web_key", "ticket_private_key": "ticket", "guard_token": "guard_token"}
        given = {
            "mode": mode,
            "chain": {"rpc_urls": [node.url]},
            "secrets": {name: str(tmp_path / file) for name, file in secrets.items()},
            "novnc_dir": tmp_path,
            **({"local": local} if mode == "local" else {}),
            **sections,
        }
        settings = make_settings(**given)
        chain, clock = FakeChain(), FakeClock()
        bare = make_deps(database, chain, settings=settings)
        deps = replace(
            bare,
            clock=clock,
            sign_in=SiweVerifier(clock, {settings.chain.chain_id: settings.chain.rpc_urls}, timeout_s=2),
        )
        app = create_app(deps)
        watchers.append(watch(app))
        return Site(app, deps, clock, chain, node)

    watchers: list[list[str]] = []
    yield make
    assert [found for seen in watchers for found in seen] == [], "answers that the document does not have"


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def local_site(make_site: Callable[..., Site]) -> Site:
    return make_site("local")
