"""A balance that runs out, as its owner sees it: grace, a top-up that returns it, an end that keeps everything."""

from __future__ import annotations

import pytest
from browser_fixtures import (
    shot,
    site_fixture,  # noqa: F401
    visitor_fixture,  # noqa: F401
)
from browser_kit import Running
from chainkit import anvil_fixture  # noqa: F401
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import text
from test_web_browser import launch, open_desktop

from controller.services.money import ledger
from controller.services.money.ledger import Posting

pytestmark = pytest.mark.integration


def drain(site: Running, key: str) -> None:
    """Take all but a second of the only visitor's credit."""
    with site.deps.database.begin() as db:
        ledger.lock_journal(db)
        wallet = db.connection().execute(text("SELECT wallet FROM gpu_session")).scalars().first()
        left = ledger.balance(db, str(wallet)).gpu_ms - 1_000
        taken = Posting(key, "adjust", f"user:{wallet}", "issued:test", left)
        ledger.post(db, at_ms=site.deps.clock.now_ms(), transfers=[taken])


def test_grace_a_top_up_and_grace_that_is_over(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    launch(page, site)
    drain(site, "drained")
    expect(page.locator("#burn")).to_have_text("billing paused", timeout=30_000)
    expect(page.locator("#left")).to_contain_text("of grace left")

    page.get_by_role("button", name="Detach").click()
    page.get_by_role("button", name="Top up and return").click()
    page.get_by_role("button", name="Send min ETH").click()
    page.wait_for_url("**/desktop/*", timeout=30_000)
    open_desktop(page)
    expect(page.locator("#burn")).not_to_have_text("billing paused")

    drain(site, "drained again")
    expect(page.locator("#burn")).to_have_text("billing paused", timeout=30_000)
    with site.deps.database.begin() as db:
        db.connection().execute(text("UPDATE gpu_session SET grace_until_ms = billed_to_ms + 1"))
    expect(page.get_by_role("heading", name="Your desktop is saved")).to_be_visible(timeout=30_000)
    expect(page.locator("[data-panel=saved]")).to_contain_text("grace period over")
    assert site.desktops.running == {}


def test_a_desktop_that_dies_says_so_and_what_to_do(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    launch(page, site)
    with site.deps.database.begin() as db:  # its host has been silent for a minute, as far as anybody knows
        silent = (
            "UPDATE slot SET last_alive_ms = last_alive_ms - 60000, started_at_ms = started_at_ms - 60000"
        )
        site.desktops.running.clear()
        db.connection().execute(text(silent))
    expect(page.get_by_role("heading", name="Your desktop is saved")).to_be_visible(timeout=30_000)
    panel = page.locator("[data-panel=saved]")
    expect(panel).to_contain_text("the desktop stopped unexpectedly")
    expect(panel.get_by_role("alert")).to_contain_text("billed to its last sign of life and no further")
    shot(page, "desktop-died")
    page.get_by_role("button", name="Relaunch Small").click()
    page.wait_for_url("**/desktop/*")
    open_desktop(page)
