"""The files page in Chromium: cost and warning, snapshots, a file up and down again, and the end of it all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser_fixtures import shot, sign_in, site_fixture, visitor_fixture  # noqa: F401
from browser_kit import Running
from chainkit import anvil_fixture  # noqa: F401
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import text

from controller.services.homes import moves as home_moves
from controller.services.homes import storage_life

pytestmark = pytest.mark.integration


def test_files_from_warning_to_the_end(visitor: BrowserContext, site: Running, tmp_path: Path) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    with site.deps.database.begin() as db:
        wallet = db.connection().execute(text("SELECT address FROM wallet")).scalar_one()
        home_moves.made(db, wallet, "local", site.deps.clock.now_ms())
        db.connection().execute(text("UPDATE home SET bytes_used = 400000000000"))
    storage_life.look(site.deps)
    site.gateway.home = tmp_path / "home"
    site.gateway.home.mkdir()
    (site.gateway.home / "notes").mkdir()
    (site.gateway.home / "link").symlink_to("/etc/passwd")
    for entry in (site.gateway.home, *site.gateway.home.iterdir()):
        os.chown(entry, 7000, 7000, follow_symlinks=False)

    page.reload()
    expect(page.locator("#home-warning")).to_contain_text("lasts 3 more days")
    page.get_by_role("link", name="See Files.").click()
    expect(page.locator("#home")).to_contain_text("400.00 GB of 100.00 GB")
    expect(page.locator("#home")).to_contain_text("480.00 minutes a day")
    expect(page.locator("#home")).to_contain_text("The balance lasts 3 days more for storage.")
    expect(page.locator("#home")).to_contain_text("At -1,440 minutes your files are put away")

    page.get_by_role("button", name="Take one now").click()
    expect(page.locator("#snapshots li")).to_have_count(1)
    expect(page.locator("#told")).to_contain_text("Snapshot made")

    page.get_by_role("button", name="notes/").click()
    expect(page.locator("#path")).to_contain_text("notes")
    (tmp_path / "results.bin").write_bytes(os.urandom(700_000))
    page.locator("#upload").set_input_files(tmp_path / "results.bin")
    expect(page.locator("#entries")).to_contain_text("700 kB")
    assert (site.gateway.home / "notes/results.bin").read_bytes() == (tmp_path / "results.bin").read_bytes()
    shot(page, "files")
    with page.expect_download() as coming:
        page.get_by_role("button", name="results.bin", exact=True).click()
    assert Path(coming.value.path()).read_bytes() == (tmp_path / "results.bin").read_bytes()
    page.get_by_role("button", name="Delete results.bin").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#entries")).to_have_text("Empty.")

    page.get_by_role("button", name="Return to it").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#snapshots li")).to_have_count(2)

    end = page.locator("#delete button")
    expect(end).to_be_disabled()
    page.locator("#confirm").fill(wallet)
    end.click()
    page.locator("#ask-yes").click()
    expect(page.locator("#home")).to_contain_text("No files yet.")
    expect(page.locator("#told")).to_contain_text("Deleted")
