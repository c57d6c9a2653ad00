"""The queue as its owner sees it: the choice before, the place and the picture in it, leaving, and the start."""

from __future__ import annotations

import re

import pytest
from browser_fixtures import (
    shot,
    sign_in,
    site_fixture,  # noqa: F401
    visitor_fixture,  # noqa: F401
)
from browser_kit import Running
from chainkit import anvil_fixture  # noqa: F401
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import text

from controller.services.hosts import registry as hosts
from controller.services.money import ledger
from controller.services.money.ledger import Posting
from controller.services.sessions import facade as sessions

pytestmark = pytest.mark.integration
BUSY, LARGE = "0x" + "b1" * 20, "0x" + "c2" * 20


def credit(site: Running, wallet: str, minutes: int) -> None:
    with site.deps.database.begin() as db:
        known = text("INSERT INTO wallet (address, created_at_ms) VALUES (:w, 1) ON CONFLICT DO NOTHING")
        db.connection().execute(known, {"w": wallet})
        given = Posting(f"grant:{wallet}", "grant", "issued:test", f"user:{wallet}", minutes * 60_000)
        ledger.post(db, at_ms=site.deps.clock.now_ms(), transfers=[given])


def crowd(site: Running) -> str:
    """Four GPUs are in use and detached, all eight promised to somebody who waits."""
    credit(site, BUSY, 4 * 200)
    credit(site, LARGE, 8 * 300)
    busy = sessions.claim(site.deps, BUSY, "large")
    while sessions.current(site.deps, BUSY).state != "running":
        site.step()  # the site works too, and may have taken the run up just now
    sessions.detach(site.deps, BUSY, busy.id)
    sessions.claim(site.deps, LARGE, "max")
    return busy.id


def test_from_the_queue_to_a_desktop(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    busy = crowd(site)
    page.locator("[data-profile=max]").click()
    expect(page.locator("#outlook")).to_contain_text("no later than")
    shot(page, "queue-outlook")

    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    panel = page.locator("[data-panel=queued]")
    expect(panel.locator(".place")).to_have_text("2")
    expect(panel).to_contain_text("Insufficient free GPUs for requested profile.")
    expect(panel).to_contain_text("Starts no later than")
    expect(panel).to_contain_text("8 GPUs")
    expect(panel.locator("#gpus svg")).to_have_count(1)
    expect(panel.locator("#gpus rect.yours[height='8']")).to_have_count(1)
    expect(page).to_have_title(re.compile(r"^\(2\) In the queue"))
    for who in (BUSY, LARGE):
        assert who[2:10] not in page.content()
    shot(page, "queue-waiting")
    page.set_viewport_size({"width": 390, "height": 844})
    shot(page, "queue-narrow")
    page.set_viewport_size({"width": 1440, "height": 900})

    page.get_by_role("button", name="Leave the queue").click()
    expect(panel).to_have_count(0)
    expect(page).to_have_title("Launch · AxonOS")
    expect(page.get_by_role("button", name="Launch GPU-Native Desktop")).to_be_enabled()

    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    expect(panel.locator(".place")).to_have_text("2")
    waiting = sessions.current(site.deps, LARGE)
    assert waiting is not None
    sessions.end(site.deps, LARGE, waiting.id)
    expect(panel.locator("h1")).to_have_text("You are next")
    sessions.end(site.deps, BUSY, busy)
    page.wait_for_url("**/desktop/*")
    expect(page.locator("#link")).to_have_attribute("data-state", "on")
    shot(page, "queue-started")
    assert len(site.desktops.running) == 1


def test_a_gpu_model_is_chosen_where_hosts_differ(visitor: BrowserContext, site: Running) -> None:
    where = {"connection": "local", "address": "localhost", "gateway_url": site.deps.settings.gateway.url}
    fast = [hosts.GpuSpec(f"SIM-fast-{index}", "H100") for index in range(2)]
    page = visitor.new_page()
    sign_in(page, site)
    expect(page.locator(".models")).to_have_count(0)
    hosts.register(site.deps, "fast", gpus=fast, simulated=True, **where)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)

    choice = page.get_by_role("radio", name="H100 2 of 2 free, $1.00 per GPU and hour")
    choice.check()
    expect(page.locator("[data-profile=large] .why-not")).to_contain_text("the largest with H100 has 2")
    page.locator("[data-profile=small]").click()
    expect(page.locator("#outlook")).to_contain_text("starts at once")
    shot(page, "gpu-models")
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    page.wait_for_url("**/desktop/*")
    with site.deps.database.begin() as db:
        found = db.connection().execute(
            text("SELECT gpu_model, host FROM gpu_session s JOIN slot ON slot.id = s.slot_id")
        )
        assert found.all() == [("H100", "fast")]


def test_a_bounded_start_is_offered_taken_and_warned_of(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    with site.deps.database.begin() as db:
        (visitor_wallet,) = db.connection().execute(text("SELECT wallet FROM web_session")).scalars()
    credit(site, str(visitor_wallet), 870)
    crowd(site)
    page.locator("[data-profile=medium]").click()
    box = page.locator("#accept-bounded")
    expect(box).not_to_be_checked()  # its whole balance would reach past the promise, but most of it does not
    shot(page, "queue-bounded")
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    expect(page.locator("[data-panel=queued] #queue-reason")).to_contain_text("GPUs reserved until")
    shot(page, "queue-reserved")
    page.locator("#accept").click()
    page.locator("#ask-yes").click()
    page.wait_for_url("**/desktop/*")
    expect(page.locator("#link")).to_have_attribute("data-state", "on")

    with site.deps.database.begin() as db:
        soon = "UPDATE queue_place SET until_ms = :until WHERE told_until_ms IS NOT NULL"
        db.connection().execute(text(soon), {"until": site.deps.clock.now_ms() + 9 * 60_000})
    expect(page.locator("#low")).to_contain_text("Your GPUs are guaranteed for", timeout=20_000)
    shot(page, "guarantee-ends")
    page.goto(f"{site.origin}/launch#top-up")
    expect(page.locator("#limit-note")).to_contain_text("promised to an earlier request")
    expect(page.locator("#guarantee-note")).to_be_visible()
    shot(page, "guarantee-top-up")
