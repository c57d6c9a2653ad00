"""What the browser's tests share: the site on a real chain, a visitor whose pages must not complain, a wallet."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser_kit import PlainTickets, Running, free_port, settings_for, site_running
from chainkit import Chain
from eth_account.messages import encode_defunct
from fakes import make_deps
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tiny_gateway import TinyGateway

from controller.adapters.chain import Web3Chain
from controller.adapters.clock import SystemClock
from controller.adapters.database import PostgresDatabase
from controller.adapters.sign_in import SiweVerifier

# A browser beside everything else on two cores takes its time.
expect.set_options(timeout=15_000)
SHOTS = Path(__file__).resolve().parents[2] / ".out" / "web"
WALLET = """
const P = { request: async ({ method, params }) => {
    const answer = await window.__wallet(method, params || []);
    if (answer.never) return new Promise(() => {});
    if (answer.error) throw Object.assign(new Error(answer.error), { code: answer.code });
    return answer.result;
  }, on(name, listener) { (window.__on ||= {})[name] = listener; }, removeListener() {} };
const info = { uuid: "00000000-0000-4000-8000-000000000001", name: "Test <b>Wallet</b>", rdns: "test.wallet",
  icon: "https://elsewhere.example/icon.png" };
const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info, provider: P } }));
addEventListener("eip6963:requestProvider", announce);
announce();
"""


@pytest.fixture(name="site")
def site_fixture(
    database: PostgresDatabase, database_url: str, anvil: Chain, tmp_path: Path
) -> Iterator[Running]:
    with TinyGateway() as gateway:
        settings = settings_for(anvil, database_url, tmp_path, gateway.port, free_port())
        clock = SystemClock()
        deps = replace(
            make_deps(database, settings=settings),
            clock=clock,
            chains={settings.chain.chain_id: Web3Chain(settings)},
            tickets=PlainTickets(),
            sign_in=SiweVerifier(clock, {settings.chain.chain_id: settings.chain.rpc_urls}),
            new_id=lambda: str(uuid.uuid4()),
        )
        with site_running(deps, anvil, gateway) as running:
            yield running
        deps.chain.close()


@pytest.fixture(name="visitor")
def visitor_fixture(chromium: Browser, site: Running) -> Iterator[BrowserContext]:
    """A fresh browser profile; what its pages complain about fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    said: list[str] = []
    context.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: said.append(str(e.error)))
    yield context
    context.close()
    # A cut stream is part of one test, a transaction that pays us nothing (422) and a second tab (409) of
    # others; networks of other tests come and go on the same machine.
    assert [
        text
        for text in said
        if not re.search("WebSocket|Connection closed|ERR_NETWORK_CHANGED|status of (422|409)", text)
    ] == []


def shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def sign_in(page: Page, site: Running, wallet: str = "Demo wallet") -> None:
    page.goto(f"{site.origin}/launch")
    page.get_by_role("button", name=wallet).click()
    expect(page.locator("#balance")).to_have_text("0minutes")


NEVER = {"never": True}


class InjectedWallet:
    """A browser extension as the page sees it; the test says what it answers, and on which chain it is."""

    def __init__(self, chain: Chain) -> None:
        self.chain, self.account = chain, chain.new_account()
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.sent: list[dict[str, str]] = []
        self.added: list[dict[str, Any]] = []
        self.chain_id = chain.deployment.chain_id
        self.knows = {self.chain_id}

    def __call__(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.asked.append(method)
        if method in self.answers:
            told = self.answers[method]
            return told if isinstance(told, dict) and {"error", "never"} & told.keys() else {"result": told}
        own = getattr(self, f"_{method}", None)
        return own(params) if own else {"result": self.chain.rpc(method, *params)}

    def _eth_requestAccounts(self, _: list[Any]) -> dict[str, Any]:  # noqa: N802
        return {"result": [self.account.address]}

    _eth_accounts = _eth_requestAccounts

    def _personal_sign(self, params: list[Any]) -> dict[str, Any]:
        text = encode_defunct(hexstr=params[0])
        return {"result": "0x" + self.account.sign_message(text).signature.hex()}

    def _eth_chainId(self, _: list[Any]) -> dict[str, Any]:  # noqa: N802
        return {"result": hex(self.chain_id)}

    def _wallet_switchEthereumChain(self, params: list[Any]) -> dict[str, Any]:  # noqa: N802
        wanted = int(params[0]["chainId"], 16)
        if wanted not in self.knows:
            return {"error": "Unrecognized chain", "code": 4902}
        self.chain_id = wanted
        return {"result": None}

    def _wallet_addEthereumChain(self, params: list[Any]) -> dict[str, Any]:  # noqa: N802
        self.added.append(params[0])
        self.knows.add(int(params[0]["chainId"], 16))
        return {"result": None}

    def _eth_sendTransaction(self, params: list[Any]) -> dict[str, Any]:  # noqa: N802
        asked = params[0]
        self.sent.append(asked)
        value, data = int(asked.get("value", "0x0"), 16), asked.get("data", "0x")
        return {"result": self.chain.send(self.account, to=asked["to"], value=value, data=data)}


@pytest.fixture(name="wallet")
def wallet_fixture(visitor: BrowserContext, site: Running) -> InjectedWallet:
    injected = InjectedWallet(site.chain)
    visitor.expose_binding("__wallet", lambda _source, method, params: injected(method, params))
    visitor.add_init_script(WALLET)
    return injected
