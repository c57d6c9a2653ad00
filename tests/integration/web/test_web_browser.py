"""The pages in Chromium, on a real chain: from a wallet to a desktop and back, and what is stopped."""

from __future__ import annotations

import re

import pytest
from browser_fixtures import (
    InjectedWallet,
    shot,
    sign_in,
    site_fixture,  # noqa: F401
    visitor_fixture,  # noqa: F401
    wallet_fixture,  # noqa: F401
)
from browser_kit import Running
from chainkit import anvil_fixture  # noqa: F401
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

pytestmark = pytest.mark.integration


def painted(page: Page) -> bool:
    """Whether the middle of the screen shows the desktop's green."""
    middle = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
    found: list[int] = page.locator("#screen canvas").evaluate(middle)
    return found[:3] == [0, 255, 0]


def open_desktop(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-state", "on")
    expect(page.locator("#veil")).to_have_css("visibility", "hidden")
    page.wait_for_function("document.querySelector('#screen canvas')?.width === 320")


def test_from_a_wallet_to_a_desktop_and_back(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    expect(page.get_by_role("button", name="Launch GPU-Native Desktop")).to_be_disabled()
    shot(page, "payment-panel")
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#deposits li").first).to_contain_text("Pending")
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    expect(page.locator("#pay")).to_have_count(0)

    expect(page.get_by_label("Never")).to_be_checked()
    page.get_by_label("After 12 h").check()
    expect(page.get_by_label("After 12 h")).to_be_enabled()
    page.locator("[data-profile=medium]").click()
    expect(page.locator(".cost")).to_contain_text("$2.00 per hour")
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    page.wait_for_url("**/desktop/*")
    open_desktop(page)
    assert painted(page)
    expect(page.locator("#burn")).to_have_text(re.compile("^2. burn$"))
    expect(page.locator("#left")).to_contain_text("left")
    page.get_by_role("button", name="Keys").click()
    page.get_by_role("button", name="Ctrl+Alt+Del").click()
    page.wait_for_timeout(100)
    assert site.gateway.keys[-3:] == [0xFFE3, 0xFFE9, 0xFFFF]
    shot(page, "desktop")

    page.get_by_role("button", name="Detach").click()
    expect(page.locator("[data-panel*=detached]")).to_contain_text("still running")
    expect(page.get_by_label("After 12 h")).to_be_checked()  # what was chosen for all of them
    page.get_by_label("After 2 h").check()
    expect(page.get_by_label("After 2 h")).to_be_checked()
    shot(page, "detached")
    press_slowly(page, page.get_by_role("button", name="Return to desktop"))
    page.wait_for_url("**/desktop/*")
    open_desktop(page)
    page.get_by_role("button", name="End session").click()
    expect(page.locator("#ask")).to_be_visible()
    page.locator("#ask-yes").click()
    expect(page.get_by_role("heading", name="Your desktop is saved")).to_be_visible()
    assert site.desktops.running == {}
    expect(page.get_by_label("After 12 h")).to_be_checked()  # the other choice was for one desktop
    shot(page, "saved")

    page.get_by_role("button", name="Relaunch Medium").click()
    page.wait_for_url("**/desktop/*")
    open_desktop(page)
    assert len(set(site.gateway.tickets)) == len(site.gateway.tickets) == 3
    assert set(site.gateway.origins) == {site.origin}
    page.goto(f"{site.origin}/statement")
    expect(page.locator(".statement tbody tr")).not_to_have_count(0)
    expect(page.locator(".statement")).to_contain_text("0.0005 ETH at $")
    shot(page, "statement")


def press_slowly(page: Page, button: Locator) -> None:
    """A press that lasts until the times beside the button have changed: it must still be a click."""
    box = button.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    facts = page.locator("[data-panel] .facts")
    before = facts.inner_text()
    expect(facts).not_to_have_text(before, use_inner_text=True, timeout=10_000)
    page.mouse.up()


def launch(page: Page, site: Running) -> None:
    """A wallet with credit on its desktop page."""
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    page.wait_for_url("**/desktop/*")
    open_desktop(page)


def test_reload_cut_and_second_tab_keep_the_session(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    launch(page, site)
    page.reload()
    open_desktop(page)
    site.gateway.cut()
    expect(page.locator("#link")).to_have_attribute("data-state", "off")
    open_desktop(page)

    second = visitor.new_page()
    second.goto(page.url)
    expect(second.get_by_role("heading")).to_have_text("Your desktop is open in another tab")
    shot(second, "second-tab-asked")
    second.get_by_role("button", name="Take it over here").click()
    open_desktop(second)
    expect(page.get_by_role("heading")).to_have_text("Your desktop moved to another tab")
    shot(page, "first-tab-told")
    page.close()
    second.wait_for_timeout(500)
    assert closed_at(site) is None  # the tab that gave it away has nothing to close
    assert len(site.desktops.running) == 1


def test_another_device_is_asked_too_and_may_only_look(
    chromium: Browser, visitor: BrowserContext, site: Running
) -> None:
    page = visitor.new_page()
    launch(page, site)
    elsewhere = chromium.new_context(
        storage_state=visitor.storage_state(), viewport={"width": 1440, "height": 900}
    )
    other = elsewhere.new_page()
    other.goto(page.url)
    expect(other.get_by_role("heading")).to_have_text("Your desktop is open in another tab")
    other.get_by_role("button", name="Only look").click()
    open_desktop(other)
    assert painted(other)
    expect(other.locator("#looking")).to_be_visible()
    expect(other.get_by_role("button", name="End session")).to_be_hidden()
    other.locator("#screen canvas").click()
    other.keyboard.type("nothing gets there")
    expect(page.locator("#watched")).to_be_visible()  # the first tab is told
    expect(page.locator("#toasts")).to_contain_text("It cannot type or click")
    shot(page, "watched")
    shot(other, "only-looks")
    assert (site.gateway.keys, len(site.gateway.views)) == ([], 1)

    other.get_by_role("button", name="Take it over").click()
    open_desktop(other)
    expect(other.locator("#looking")).to_be_hidden()
    expect(page.get_by_role("heading")).to_have_text("Your desktop moved to another tab")
    page.get_by_role("button", name="Bring it back here").click()
    open_desktop(page)
    expect(other.get_by_role("heading")).to_have_text("Your desktop moved to another tab")
    elsewhere.close()
    page.wait_for_timeout(500)
    assert closed_at(site) is None


def closed_at(site: Running) -> int | None:
    from sqlalchemy import text

    with site.deps.database.begin() as db:
        return db.connection().execute(text("SELECT closed_at_ms FROM gpu_session")).scalar_one()


def test_closing_the_tab_tells_the_server(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    launch(page, site)
    assert closed_at(site) is None
    watcher = visitor.new_page()
    watcher.goto(f"{site.origin}/launch")
    page.close(run_before_unload=False)
    for _ in range(50):
        if closed_at(site) is not None:
            break
        watcher.wait_for_timeout(100)
    assert closed_at(site) is not None


def test_a_wallet_of_the_browser_pays(visitor: BrowserContext, site: Running, wallet: InjectedWallet) -> None:
    page = visitor.new_page()
    sign_in(page, site, "Test <b>Wallet</b>")
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=20_000)
    order = [m for m in wallet.asked if m in ("eth_getBlockByNumber", "eth_sendTransaction")]
    assert order == ["eth_getBlockByNumber", "eth_sendTransaction"]


def refused(page: Page, text: str) -> None:
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator(".toast.bad").last).to_contain_text(text)


def test_nothing_is_sent_on_a_chain_that_only_shares_the_number(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, "Test <b>Wallet</b>")
    wallet.answers["eth_getBlockByNumber"] = {"hash": "0x" + "ab" * 32}
    refused(page, "Stopped before sending")
    shot(page, "wrong-chain")
    assert "eth_sendTransaction" not in wallet.asked


def test_the_wallet_is_asked_to_switch_and_a_chain_it_lacks_is_named(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, "Test <b>Wallet</b>")
    wallet.answers |= {"eth_chainId": "0x1", "wallet_switchEthereumChain": {"error": "unknown", "code": 4902}}
    refused(page, "Your wallet does not know test chain (chain 84532)")
    wallet.answers["wallet_switchEthereumChain"] = None
    refused(page, "Switch your wallet to test chain")
    assert "eth_sendTransaction" not in wallet.asked


def test_a_declined_request_is_no_failure(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    wallet.answers["personal_sign"] = {"error": "User rejected", "code": 4001}
    page = visitor.new_page()
    page.goto(f"{site.origin}/launch")
    page.get_by_role("button", name="Test <b>Wallet</b>").click()
    expect(page.locator(".toast.bad")).to_have_text("You declined in your wallet. Nothing happened.")
    del wallet.answers["personal_sign"]
    sign_in(page, site, "Test <b>Wallet</b>")
    wallet.answers["eth_sendTransaction"] = {"error": "User rejected", "code": 4001}
    refused(page, "You declined in your wallet")


def test_another_account_in_the_wallet_signs_out(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, "Test <b>Wallet</b>")
    page.evaluate("window.__on.accountsChanged(['0x' + '12'.repeat(20)])")
    expect(page.get_by_role("heading", name="Connect your wallet")).to_be_visible()


def test_signing_out_everywhere_signs_another_browser_of_the_wallet_out(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, "Test <b>Wallet</b>")
    jar = visitor.cookies()
    page.context.clear_cookies()
    sign_in(page, site, "Test <b>Wallet</b>")
    shot(page, "signed-in-header")
    page.get_by_role("button", name="everywhere").click()
    expect(page.get_by_role("heading", name="Connect your wallet")).to_be_visible()
    page.context.clear_cookies()
    page.context.add_cookies(jar)  # the other browser's
    page.reload()
    expect(page.get_by_role("heading", name="Connect your wallet")).to_be_visible()


def test_keyboard_alone_reaches_the_launch_button(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    page.goto(f"{site.origin}/launch")
    expect(page.locator("#profile-small")).to_be_attached()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert reached[0] == "skip"
    assert "profile-small" in reached
    assert "wallet-org.axonos.demo" in reached
    page.locator("#profile-small").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "profile-medium"


# A desktop whose first picture is still being decoded when the second arrives: noVNC puts the second off.
SLOW_PICTURE = """async (ticket) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  canvas.getContext("2d").fillRect(0, 0, 64, 64);
  const jpeg = [...atob(canvas.toDataURL("image/jpeg").split(",")[1])].map((c) => c.charCodeAt(0));
  const picture = [0, 0, 0, 1, 0, 0, 0, 0, 0, 64, 0, 64, 0, 0, 0, 21, ...jpeg];
  const init = [0, 64, 0, 64, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 1, 120];
  let sent;
  const pictures = new Promise((done, fail) => { sent = done; setTimeout(fail, 10_000, "no picture was asked for"); });
  globalThis.WebSocket = class {
    static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
    readyState = 1; protocol = ""; binaryType = ""; onopen = null; onmessage = null; onerror = null; onclose = null;
    answers = [[1, 1], [0, 0, 0, 0], init];
    constructor() { setTimeout(() => { this.onopen(); this.say([..."RFB 003.008\\n"].map((c) => c.charCodeAt(0))); }); }
    say(bytes, then = () => {}) { setTimeout(() => { this.onmessage({ data: new Uint8Array(bytes).buffer }); then(); }); }
    send(data) {
      if (this.answers.length) this.say(this.answers.shift());
      else if (!this.shown && (this.shown = true)) this.say([...picture, ...picture], sent);
    }
    close() { this.readyState = 3; setTimeout(() => this.onclose({ code: 1000 }), 200); }
  };
  const { openStream } = await import("/static/js/desktop/stream.js");
  const nothing = () => {};
  const stream = openStream(ticket, document.body, {}, { link: nothing, gone: nothing, taken: nothing });
  await pictures;
  const waits = stream.rfb._flushing;
  stream.stop();
  await new Promise((done) => setTimeout(done, 500));
  return waits && document.body.querySelector("canvas") === null;
}"""


def test_leaving_while_a_picture_is_drawn_is_no_fault(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{site.origin}/launch")
    page.route("**/a-ticket", lambda route: route.fulfill(json={"gateway_url": "ws://x/", "ticket": "t"}))
    assert page.evaluate(SLOW_PICTURE, "/a-ticket")
    assert said == []
