"""A shell from the pages, in Chromium: a key into the list, a claim, what is copied, and the end."""

from __future__ import annotations

import re

import pytest
from browser_fixtures import shot, sign_in, site_fixture, visitor_fixture  # noqa: F401
from browser_kit import Running
from chainkit import anvil_fixture  # noqa: F401
from instant_sessions import HOST_KEY
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import text
from test_web_grace import drain

pytestmark = pytest.mark.integration


def test_a_shell_from_key_to_end(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    page.get_by_label("Shell over SSH").check()
    expect(page.get_by_role("button", name="Launch SSH session")).to_be_disabled()
    page.get_by_role("link", name="Add an SSH key first").click()

    page.locator("#key-text").fill(f"{HOST_KEY} me@laptop")
    page.get_by_role("button", name="Add key").click()
    name = page.locator(".key input")
    expect(name).to_have_value("me@laptop")
    name.fill("my laptop")
    page.get_by_role("button", name="Rename").click()
    page.reload()
    expect(name).to_have_value("my laptop")
    shot(page, "ssh-keys")

    page.get_by_role("link", name="Back to launch").click()
    expect(page.get_by_role("link", name="1 SSH key may log in")).to_be_visible()
    shot(page, "ssh-picker")
    page.get_by_role("button", name="Launch SSH session").click()
    expect(page.get_by_role("heading", name="Your shell is running")).to_be_visible()
    command = page.locator("#ssh-command").inner_text()
    port = re.fullmatch(r"ssh -p (\d+) axon@localhost", command)
    assert port is not None
    expect(page.locator("#ssh-fingerprint")).to_have_text(re.compile("^SHA256:"))
    expect(page.locator("#ssh-known-hosts")).to_contain_text(HOST_KEY)
    expect(page.locator("#ssh-config")).to_contain_text(f"Port {port[1]}")
    expect(page.locator("#ssh-config")).to_contain_text("Host axonos")
    expect(page.get_by_text("axonos-jupyter")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("Burn rate")
    left = page.locator(".facts [data-ends]")
    expect(left).to_have_text(re.compile(r"^\d\d+:\d\d:\d\d$"))
    before = seconds(left.inner_text())
    expect(left).not_to_have_text(left.inner_text())
    assert before - 30 < seconds(left.inner_text()) < before, "it counts down"
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#ssh-command-copy").click()
    expect(page.locator("#toasts")).to_contain_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == command
    shot(page, "ssh-session")

    page.get_by_role("button", name="End session").click()
    page.locator("#ask-yes").click()
    expect(page.get_by_role("heading", name="Your files are saved")).to_be_visible()
    assert site.desktops.running == {}
    page.get_by_role("button", name="Relaunch Small shell").click()
    expect(page.get_by_role("heading", name="Your shell is running")).to_be_visible()


def test_a_shell_without_credit_counts_down_its_grace_and_ends_with_its_files_kept(
    visitor: BrowserContext, site: Running
) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    page.get_by_label("Shell over SSH").check()
    page.get_by_role("link", name="Add an SSH key first").click()
    page.locator("#key-text").fill(f"{HOST_KEY} me@laptop")
    page.get_by_role("button", name="Add key").click()
    page.get_by_role("link", name="Back to launch").click()
    page.get_by_role("button", name="Launch SSH session").click()
    expect(page.get_by_role("heading", name="Your shell is running")).to_be_visible()

    drain(site, "drained")
    expect(page.get_by_role("heading", name="Your balance ran out")).to_be_visible(timeout=30_000)
    left = page.locator(".facts [data-ends]")
    expect(left).to_have_text(re.compile(r"^0[12]:\d\d:\d\d$"))
    expect(page.locator("#top-up")).to_be_visible()
    expect(page.locator("#ssh-command")).to_be_visible()
    shot(page, "ssh-grace")
    with site.deps.database.begin() as db:
        db.connection().execute(text("UPDATE gpu_session SET grace_until_ms = billed_to_ms + 1"))
    expect(page.get_by_role("heading", name="Your files are saved")).to_be_visible(timeout=30_000)
    assert site.desktops.running == {}


def seconds(shown: str) -> int:
    hours, minutes, rest = map(int, shown.split(":"))
    return (60 * hours + minutes) * 60 + rest


def test_a_token_is_made_shown_once_and_taken_back(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("link", name="SSH keys").click()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("What it is for").fill("training script")
    page.get_by_label("sessions:write").check()
    page.get_by_role("button", name="Make token").click()
    expect(page.locator("#token-text")).to_have_text(re.compile(r"^axonos_\S+_\S{43}$"))
    line = page.locator("#token-list .key")
    expect(line).to_contain_text("training script")
    expect(line).to_contain_text("never used")
    shot(page, "api-tokens")
    page.reload()
    expect(line).to_contain_text("sessions:write")
    expect(page.locator("#token-made")).to_be_hidden()
    line.get_by_role("button", name="Take back").click()
    page.locator("#ask-yes").click()
    expect(page.locator("#token-list")).to_contain_text("No token yet.")
