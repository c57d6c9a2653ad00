"""Eyes and hands on a desktop in the browser: its pixels, its keyboard, its terminal."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from controller.rfb import painted
from controller.settings import Settings

SHOTS = Path(__file__).resolve().parents[1] / ".out" / "e2e"
START_MS = 120_000
Colour = tuple[int, int, int]
TERMINAL: Colour = (0x10, 0x13, 0x1F)


def shot(page: Page, name: str) -> None:
    """Keep what a person would see."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def pixels(page: Page) -> Image.Image:
    """What is drawn on the desktop's canvas, pixel for pixel."""
    data = page.locator("#screen canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    return Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB")


def share(screen: Image.Image, colour: Colour) -> float:
    """How much of the screen has exactly this colour."""
    counts = screen.getcolors(screen.width * screen.height) or []
    return sum(count for count, found in counts if found == colour) / (screen.width * screen.height)


def wait_for_pixels(
    page: Page, what: str, seen: Callable[[Image.Image], bool], timeout_s: float = 30
) -> None:
    deadline = time.monotonic() + timeout_s
    while not seen(screen := pixels(page)):
        if time.monotonic() > deadline:
            SHOTS.mkdir(parents=True, exist_ok=True)
            screen.save(SHOTS / "not-seen.png")
            raise AssertionError(f"{what} was not seen within {timeout_s} s; see {SHOTS / 'not-seen.png'}")
        page.wait_for_timeout(100)


def wait_for_desktop(page: Page) -> None:
    """The desktop page is there, its stream is connected, and the desktop is painted on the canvas."""
    page.wait_for_url("**/desktop/*", timeout=START_MS)
    try:
        expect(page.locator("#link")).to_have_attribute("data-state", "on", timeout=30_000)
        expect(page.locator("#veil")).to_be_hidden()
    except AssertionError as error:
        shot(page, "no-desktop")
        raise AssertionError(f"the page says: {page.locator('#veil').inner_text()}") from error
    wait_for_pixels(page, "a painted desktop", painted)


def open_terminal(page: Page) -> None:
    """By the keys that the page sends for the person, Ctrl+Alt+T."""
    keys = page.get_by_role("button", name="Keys")
    keys.click()
    page.get_by_role("button", name="Ctrl+Alt+T").click()
    if page.locator("#keys").is_visible():
        keys.click()
    wait_for_pixels(page, "a terminal", lambda screen: share(screen, TERMINAL) > 0.15)
    page.wait_for_timeout(500)


def type_command(page: Page, command: str) -> None:
    page.locator("#screen canvas").focus()
    page.keyboard.type(command, delay=8)
    page.keyboard.press("Enter")


def fill(colour: Colour) -> str:
    """A shell command that fills the terminal with a colour: words for a reader without letters."""
    return "printf '\\033[48;2;{};{};{}m\\033[2J'".format(*colour)


def wait_for_colour(page: Page, what: str, colour: Colour) -> None:
    wait_for_pixels(page, what, lambda screen: share(screen, colour) > 0.15)


def end_session(page: Page) -> None:
    page.get_by_role("button", name="End session").click()
    page.locator("#ask-yes").click()
    expect(page.get_by_role("heading", name="Your desktop is saved")).to_be_visible(timeout=60_000)


def wallet_of(page: Page) -> str:
    """The signed-in wallet, lower case."""
    return str(page.evaluate("fetch('/api/v1/me').then(answer => answer.json()).then(me => me.wallet)"))


@dataclass
class InjectedWallet:
    """A browser extension's wallet, as far as a page can tell: announced by EIP-6963, keys outside the page."""

    settings: Settings
    asked: list[str]

    def __post_init__(self) -> None:
        self.account = Account.create()

    def inject(self, context: BrowserContext) -> None:
        context.expose_function("__wallet", self._answer)
        context.add_init_script(_ANNOUNCE)

    def _answer(self, method: str, parameters: list[Any]) -> Any:
        self.asked.append(method)
        if method in {"eth_requestAccounts", "eth_accounts"}:
            return [self.account.address]
        if method == "personal_sign":
            text = bytes.fromhex(parameters[0].removeprefix("0x")).decode()
            return self.account.sign_message(encode_defunct(text=text)).signature.to_0x_hex()
        if method == "eth_sendTransaction":
            return self._send(parameters[0])
        return self._rpc(method, *parameters)

    def _send(self, asked: dict[str, str]) -> Any:
        signed = self.account.sign_transaction(
            {
                "to": asked["to"],
                "value": int(asked.get("value", "0x0"), 16),
                "data": asked.get("data", "0x"),
                "gas": 100_000,
                "gasPrice": 2 * int(self._rpc("eth_gasPrice"), 16),
                "nonce": int(self._rpc("eth_getTransactionCount", self.account.address, "latest"), 16),
                "chainId": self.settings.chain.chain_id,
            }
        )
        return self._rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())

    def _rpc(self, method: str, *parameters: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = httpx.post(self.settings.chain.rpc_urls[0], json=call).json()
        return answer["result"]


_ANNOUNCE = """
const provider = { request: ({ method, params }) => window.__wallet(method, params || []), on() {}, removeListener() {} };
const info = Object.freeze({ uuid: "00000000-0000-4000-8000-000000000001", name: "Test Wallet", rdns: "test.wallet",
  icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>" });
const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
addEventListener("eip6963:requestProvider", announce);
announce();
"""
