"""Local mode only: the demo wallet's script, its faucet, and its allow-listed way to the local chain.

Registered by `register` only where settings say local mode, which they accept on loopback alone.
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, request, send_file

from controller.services import local_chain
from controller.services.local_chain import LocalNode
from controller.web.answers import answer
from controller.web.context import body, caller, deps, text_field
from controller.web.guarding import limited

MAX_BYTES = 131_072
DEMO_WALLET = Path(__file__).parent / "local" / "demo-wallet.js"


def make_blueprint(node: LocalNode, ethers_js: Path) -> Blueprint:
    """The local mode's routes, speaking to `node`."""
    blueprint = Blueprint("local", __name__)

    @blueprint.get("/local/demo-wallet.js")
    def demo_wallet() -> Response:
        return send_file(DEMO_WALLET, mimetype="text/javascript")

    @blueprint.get("/vendor/ethers.js")
    def ethers() -> Response:
        return send_file(ethers_js, mimetype="text/javascript", max_age=3_600)

    @blueprint.post("/local/rpc")
    @limited("local-rpc", 1_200)
    def rpc() -> Response:
        request.max_content_length = MAX_BYTES
        call = request.get_data()
        local_chain.check_call(call)
        return Response(node.forward(call), mimetype="application/json")

    @blueprint.post("/local/faucet")
    def faucet() -> Response:
        token = text_field("token") if "token" in body() else ""
        return answer(local_chain.drip(deps(), node, text_field("address"), caller(), token), 202)

    return blueprint
