"""The life of a session on a whole platform, in the browser: left, reloaded, closed, run dry, and found again each time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from desktop_kit import (
    end_session,
    fill,
    open_terminal,
    share,
    shot,
    type_command,
    wait_for_colour,
    wait_for_desktop,
    wait_for_pixels,
    wallet_of,
)
from platform_kit import Platform
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import create_engine, text

# Steps of one story of one wallet, in the order written. Standing the platform up may be part of the first.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
WRITTEN, FOUND = (0, 120, 215), (0, 180, 90)
NOTE = "outlives every session"
WINDOW_MS = 45_000


@pytest.fixture(scope="module")
def visitor(chromium: Browser, platform: Platform) -> Iterator[BrowserContext]:
    """One browser profile for the whole story; what its pages complain about fails the last step."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    said: list[str] = []
    context.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: said.append(str(e.error)))
    yield context
    context.close()
    # Networks of other tests come and go on the same machine.
    assert [text for text in said if "ERR_NETWORK_CHANGED" not in text] == []


@pytest.fixture(scope="module")
def page(visitor: BrowserContext, platform: Platform) -> Page:
    """The launch page of a wallet that has paid once. Its own tabs come and go; this one stays."""
    made = visitor.new_page()
    made.goto(f"{platform.origin}/launch")
    made.get_by_role("button", name="Demo wallet").click()
    pay(made)
    return made


def pay(page: Page) -> None:
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator(".toast").filter(has_text="Your deposit is credited").last).to_be_visible(
        timeout=60_000
    )


def moved(platform: Platform, change: str, where: str) -> int:
    """Move an instant of the live session in the database, so that nobody waits for it; how many rows."""
    engine = create_engine(platform.settings.database.url)
    with engine.begin() as db:
        live = f"{where} AND state IN ('running', 'grace')"
        count = db.execute(text(f"UPDATE gpu_session SET {change} WHERE {live}")).rowcount
    engine.dispose()
    return count


def saved(page: Page, reason: str) -> None:
    """The resume panel, with the reason."""
    expect(page.get_by_role("heading", name="Your desktop is saved", exact=True)).to_be_visible(
        timeout=60_000
    )
    expect(page.locator("[data-panel=saved]")).to_contain_text(reason)


def wait_until(page: Page, seen: Callable[[], int]) -> None:
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        page.wait_for_timeout(300)


def drain(platform: Platform, page: Page) -> None:
    """An operator takes all but a tenth of a minute, again if the meter took its part in between."""
    reason = ("--reason", "test", "--yes", "--json")
    for _ in range(3):
        left = page.evaluate("fetch('/api/v1/me').then(a => a.json()).then(me => me.balance.gpu_ms)")
        taken = f"-{left / 60_000 - 0.1:.2f}"
        done = platform.axonos("ledger", "adjust", wallet_of(page), taken, *reason)
        if done.returncode == 0:
            return
    raise AssertionError(done.stdout + done.stderr)


def paused(page: Page) -> None:
    """Grace, without waiting for the next heartbeat."""

    def seen() -> int:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        return page.locator("#burn").inner_text() == "billing paused"

    wait_until(page, seen)


def find_note(page: Page) -> None:
    open_terminal(page)
    type_command(page, f"grep -qx '{NOTE}' ~/note.txt && {fill(FOUND)}")
    wait_for_colour(page, "the terminal's word that the note is there", FOUND)


def still_there(page: Page) -> None:
    """The very screen that was left."""
    wait_for_desktop(page)
    wait_for_pixels(page, "the terminal as it was left", lambda screen: share(screen, WRITTEN) > 0.15)


def test_detach_and_back(platform: Platform, page: Page) -> None:
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    wait_for_desktop(page)
    open_terminal(page)
    type_command(page, f"echo '{NOTE}' > ~/note.txt && {fill(WRITTEN)}")
    wait_for_colour(page, "the terminal's word that the note is written", WRITTEN)
    page.get_by_role("button", name="Detach").click()
    expect(page.get_by_role("heading", name="Your desktop is saved, and still running")).to_be_visible()
    shot(page, "life-1-detached")
    page.get_by_role("button", name="Return to desktop").click()
    still_there(page)


def test_a_reload_stays(page: Page) -> None:
    before = page.url
    page.reload()
    still_there(page)
    assert page.url == before
    shot(page, "life-2-reloaded")


def test_closing_the_tab_ends_the_session_when_nobody_returns(
    platform: Platform, visitor: BrowserContext, page: Page
) -> None:
    address = page.url
    page.goto(f"{platform.origin}/launch")
    tab = visitor.new_page()
    tab.goto(address)  # back within the window: leaving the first tab ended nothing
    still_there(tab)
    tab.close()
    wait_until(
        page, lambda: moved(platform, f"closed_at_ms = closed_at_ms - {WINDOW_MS}", "closed_at_ms > 0")
    )
    saved(page, "tab closed")
    shot(page, "life-3-closed")
    assert (platform.home(wallet_of(page)) / "note.txt").read_text() == NOTE + "\n"


def test_another_profile_opens_the_same_files(page: Page) -> None:
    page.locator("[data-profile=medium]").click()
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    wait_for_desktop(page)
    expect(page.locator("#burn")).to_have_text(re.compile("^2. burn$"))
    find_note(page)
    shot(page, "life-4-medium")


def test_an_empty_balance_is_grace_and_a_top_up_goes_on(platform: Platform, page: Page) -> None:
    drain(platform, page)
    paused(page)
    expect(page.locator("#left")).to_have_text(
        re.compile("1 h 5. min of grace left|2 h 00 min of grace left")
    )
    shot(page, "life-5-grace")
    page.get_by_role("button", name="Detach").click()
    page.get_by_role("button", name="Top up and return").click()
    shot(page, "life-6-grace-panel")
    page.get_by_role("button", name="Send min ETH").click()
    page.wait_for_url("**/desktop/*", timeout=60_000)
    wait_for_desktop(page)
    wait_for_pixels(page, "the terminal as it was left", lambda screen: share(screen, FOUND) > 0.15)
    expect(page.locator("#burn")).to_have_text(re.compile("^2. burn$"), timeout=30_000)
    shot(page, "life-7-goes-on")


def test_grace_that_is_over_ends_it_and_a_relaunch_finds_the_files(platform: Platform, page: Page) -> None:
    drain(platform, page)
    paused(page)
    assert moved(platform, "grace_until_ms = billed_to_ms + 1", "state = 'grace'") == 1
    saved(page, "grace period over")
    shot(page, "life-8-grace-over")
    pay(page)
    page.get_by_role("button", name="Relaunch Medium").click()
    wait_for_desktop(page)
    find_note(page)


def test_a_fresh_start_keeps_files_and_moves_settings_aside(platform: Platform, page: Page) -> None:
    home = platform.home(wallet_of(page))
    mark = home / ".config" / "xfce4" / "mine"
    mark.write_text("a setting")
    page.get_by_role("button", name="Detach").click()
    page.get_by_role("button", name="Start fresh").click()
    shot(page, "life-9-fresh-asked")
    page.locator("#ask-yes").click()
    page.wait_for_url("**/desktop/*", timeout=60_000)
    wait_for_desktop(page)
    assert not mark.exists()
    assert [found.read_text() for found in home.glob("**/xfce4/mine")] == ["a setting"], "moved, not lost"
    assert (home / "note.txt").read_text() == NOTE + "\n"
    shot(page, "life-10-fresh")
    end_session(page)
    books = platform.axonos("ledger", "audit", "--json")
    assert (books.returncode, json.loads(books.stdout)["ok"]) == (0, True)
