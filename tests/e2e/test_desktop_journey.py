"""The main job in a real browser on a whole platform, judged by pixels: pay, launch, work, end, find the work again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from desktop_kit import (
    SHOTS,
    InjectedWallet,
    end_session,
    fill,
    open_terminal,
    pixels,
    shot,
    type_command,
    wait_for_colour,
    wait_for_desktop,
    wallet_of,
)
from PIL import Image
from platform_kit import Platform
from playwright.sync_api import Browser, BrowserContext, Page, expect

from controller.rfb import painted

# Standing the platform up is part of the first test.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
WRITTEN, FOUND = (0, 120, 215), (0, 180, 90)
AFTER_LAUNCH = ["start", "see it painted", "heartbeat", "end", "find it saved", "statement"]
NOTE = "kept between two sessions"


@pytest.fixture
def visitor(chromium: Browser, platform: Platform) -> Iterator[BrowserContext]:
    """A fresh browser profile; what its pages complain about fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    said: list[str] = []
    context.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: said.append(str(e.error)))
    yield context
    context.close()
    assert said == []


def top_up(page: Page, picture: str) -> None:
    """Send the minimum and watch it count up to the credit, touching nothing."""
    expect(page.locator("#balance")).to_have_text("0minutes")
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#deposits li").first).to_contain_text(re.compile(r"Pending, \d of 6"))
    shot(page, picture)
    expect(page.locator("#balance")).to_have_text("120minutes", timeout=60_000)
    expect(page.locator("#deposits li").first).to_contain_text("+120 min")


def test_a_person_pays_works_ends_and_finds_the_work_again(platform: Platform, visitor: BrowserContext):
    page = visitor.new_page()
    page.goto(platform.origin)
    shot(page, "1-landing")
    page.get_by_role("link", name="Launch a desktop").click()
    page.get_by_role("button", name="Demo wallet").click()
    expect(page.locator("#pay")).to_be_visible()
    shot(page, "2-payment-panel")
    top_up(page, "3-deposit-pending")
    shot(page, "4-profiles")

    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    wait_for_desktop(page)
    shot(page, "5-desktop")
    open_terminal(page)
    type_command(page, f"echo '{NOTE}' > ~/note.txt && {fill(WRITTEN)}")
    wait_for_colour(page, "the terminal's word that the note is written", WRITTEN)
    shot(page, "6-written")
    note = platform.home(wallet_of(page)) / "note.txt"
    assert note.read_text() == NOTE + "\n"
    end_session(page)
    shot(page, "7-saved")
    assert note.read_text() == NOTE + "\n"

    page.get_by_role("button", name="Relaunch Small").click()
    wait_for_desktop(page)
    open_terminal(page)
    type_command(page, f"grep -qx '{NOTE}' ~/note.txt && {fill(FOUND)}")
    wait_for_colour(page, "the terminal's word that the note is there", FOUND)
    shot(page, "8-found")
    pixels(page).save(SHOTS / "8-found-canvas.png")
    end_session(page)

    page.goto(f"{platform.origin}/statement")
    expect(page.locator(".statement")).to_contain_text("0.0005 ETH")
    shot(page, "9-statement")
    lines = page.evaluate("fetch('/api/v1/statement').then(answer => answer.json())")["lines"]
    assert sum(int(line["gpu_ms"]) > 0 for line in lines) == 1
    assert len([line for line in lines if int(line["gpu_ms"]) < 0]) >= 2
    me = page.evaluate("fetch('/api/v1/me').then(answer => answer.json())")
    assert sum(int(line["gpu_ms"]) for line in lines) == me["balance"]["gpu_ms"] < 120 * 60_000


def test_a_wallet_from_the_browser_pays_and_sees_its_desktop(platform: Platform, visitor: BrowserContext):
    wallet = InjectedWallet(platform.settings, [])
    wallet.inject(visitor)
    body = {"address": wallet.account.address}
    httpx.post(
        f"{platform.origin}/local/faucet", json=body, headers={"Origin": platform.origin}
    ).raise_for_status()
    page = visitor.new_page()
    page.goto(f"{platform.origin}/launch")
    expect(page.get_by_role("button", name="Demo wallet")).to_be_visible()
    shot(page, "a-wallets")
    page.get_by_role("button", name="Test Wallet").click()
    top_up(page, "b-deposit-pending")
    assert wallet_of(page) == wallet.account.address.lower()
    # Block 0 through the wallet comes before any money.
    assert wallet.asked.index("eth_getBlockByNumber") < wallet.asked.index("eth_sendTransaction")
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    wait_for_desktop(page)
    shot(page, "c-desktop")
    end_session(page)


def test_the_self_check_does_it_all_without_a_browser(platform: Platform, tmp_path):
    picture = tmp_path / "selfcheck.png"
    done = platform.axonos("selfcheck", "--json", "--screenshot", str(picture))
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["problem"]) == (0, True, None)
    assert all(step["ok"] for step in report["steps"])
    names = [step["step"] for step in report["steps"]]
    assert names == [*("sign in", "play money", "deposit", "credit", "launch"), *AFTER_LAUNCH]
    assert 0 < report["minutes_charged"] < report["seconds"] / 60
    assert painted(Image.open(picture).convert("RGB"))
