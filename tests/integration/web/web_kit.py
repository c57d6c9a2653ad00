"""What the site's tests share: wallets, a browser, and the site with everything a test may turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from fakes import FakeChain, FakeClock
from flask import Flask
from flask.testing import FlaskClient

from controller.services.deps import Deps

ORIGIN = "http://localhost:8080"
MAGIC = "0x1626ba7e" + "0" * 56
ALICE = Account.from_key("0x" + "a1" * 32)
BOB = Account.from_key("0x" + "b2" * 32)


@dataclass
class Node:
    """A stand-in for a chain's node: answers by method, remembers what it was asked."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@dataclass
class Site:
    """An application with everything a test may turn."""

    app: Flask
    deps: Deps
    clock: FakeClock
    chain: FakeChain
    node: Node

    def browser(self) -> Browser:
        return Browser(self.app.test_client())


@dataclass
class Browser:
    """A browser on the site's origin, with its cookies and CSRF token."""

    client: FlaskClient
    csrf: str = ""

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.client.get(path, base_url=ORIGIN, buffered=True, **kwargs)

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        sent = {"Origin": ORIGIN, "X-CSRF-Token": self.csrf} | (headers or {})
        kept = {name: value for name, value in sent.items() if value != ""}
        return self.client.post(path, base_url=ORIGIN, json={} if body is None else body, headers=kept)

    def ask(self, account: Any = ALICE) -> str:
        started = self.post("/api/v1/sign-in/start", {"address": account.address})
        assert started.status_code == 200, started.json
        return str(started.json["message"])

    def answer(self, message: str, account: Any = ALICE, signature: str | None = None) -> Any:
        signature = signature or sign(message, account)
        return self.post("/api/v1/sign-in", {"message": message, "signature": signature})

    def sign_in(self, account: Any = ALICE) -> Browser:
        done = self.answer(self.ask(account), account)
        assert done.status_code == 200, done.json
        self.csrf = done.json["csrf_token"]
        return self


def sign(message: str, account: Any) -> str:
    return "0x" + account.sign_message(encode_defunct(text=message)).signature.hex()
