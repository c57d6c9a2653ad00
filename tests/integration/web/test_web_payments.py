"""The payment panel in Chromium on a real chain: every rail, exact amounts, and nothing sent by surprise."""

from __future__ import annotations

import re
from typing import Any

import pytest
from browser_fixtures import (
    NEVER,
    InjectedWallet,
    shot,
    sign_in,
    site_fixture,  # noqa: F401
    visitor_fixture,  # noqa: F401
    wallet_fixture,  # noqa: F401
)
from browser_kit import Running
from chainkit import ETHER, anvil_fixture  # noqa: F401
from playwright.sync_api import BrowserContext, Page, expect
from sqlmodel import col, select

from controller.models import MoneyEvent, Quote, WebSession

pytestmark = pytest.mark.integration
WALLET_NAME = "Test <b>Wallet</b>"


def events(site: Running) -> list[MoneyEvent]:
    """What the signed-in wallet paid; the chain is older than the test."""
    own = select(MoneyEvent).where(col(MoneyEvent.payer).in_(select(WebSession.wallet)))
    with site.deps.database.begin() as db:
        return list(db.exec(own).all())


def quotes(site: Running) -> list[Quote]:
    with site.deps.database.begin() as db:
        return list(db.exec(select(Quote)).all())


def credited(page: Page) -> None:
    # Quick blocks make a deposit final while a test still looks on.
    expect(page.locator("#deposits li:is([data-state=credited], [data-state=final])").first).to_be_visible(
        timeout=30_000
    )


def rail(page: Page, name: str) -> Any:
    return page.locator(f"[data-rail={name}]")


def test_tokens_are_sent_to_the_unit_by_calldata(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    site.chain.mint_usdc(wallet.account.address, 10**6)
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    expect(rail(page, "usdc")).to_contain_text("1 USDC buys 60.0 minutes")
    expect(rail(page, "axgt")).to_contain_text("25 % bonus included")
    page.get_by_role("button", name="Send min USDC").click()
    credited(page)
    (sent,) = wallet.sent
    revenue = site.chain.deployment.revenue_wallet[2:].lower()
    assert sent["to"].lower() == site.chain.deployment.usdc.lower()
    assert sent["data"] == f"0xa9059cbb{revenue:0>64}{10**6:064x}"
    assert "value" not in sent
    assert site.chain.usdc.functions.balanceOf(site.chain.deployment.revenue_wallet).call() == 10**6
    (event,), (quote,) = events(site), quotes(site)
    assert (event.credited_gpu_ms, event.evidence["quote"]["id"]) == (quote.gpu_ms, quote.id)
    page.goto(f"{site.origin}/statement")
    expect(page.locator(".statement")).to_contain_text("1 USDC")


def test_the_demo_wallet_has_play_money_of_every_kind(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min AXGT").click()
    credited(page)
    page.locator("#top-up").click()
    expect(page.locator(".tier")).to_contain_text(
        "900 AXGT in your wallet · Tier 1 (5 % off)", timeout=30_000
    )
    expect(rail(page, "eth")).to_contain_text("100 AXGT more: 5.2 % less per minute")
    page.locator("#other-usdc").click()
    page.locator("#hours-10-usdc").click()
    expect(
        page.locator("#deposits li:is([data-state=confirming], [data-state=credited], [data-state=final])")
    ).to_have_count(2)
    assert sorted((e.asset, int(e.amount)) for e in events(site)) == [
        ("axgt", 100 * ETHER),
        ("usdc", 10 * 10**6),
    ]


def test_the_page_shows_all_of_it_before_the_wallet_opens(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    wallet.answers["eth_sendTransaction"] = NEVER
    page.locator("#other-eth").click()
    amount = page.locator("#amount-eth")
    for typed, said in (
        ("0.0001", "0.0004 ETH less"),
        ("1.0.0", "A number"),
        ("0.00100000000000000001", "at most 18"),
    ):
        amount.fill(typed)
        expect(page.locator("#buys-eth")).to_contain_text(said)
        expect(page.locator("#send-amount-eth")).to_be_disabled()
    amount.fill("0,001000000000000007")
    expect(page.locator("#buys-eth")).to_contain_text("Buys about 240.0 minutes, 4 h 00 min on Small")
    amount.press("Enter")
    review = page.locator(".review[data-step=wallet]")
    for told in ("0.001000000000000007 ETH", site.chain.deployment.revenue_wallet, "test chain, chain 84532"):
        expect(review).to_contain_text(told)
    expect(review).to_contain_text("240.0 minutes")
    expect(review).to_contain_text("your balance lasts 4 h 00 min on Small")
    expect(review).to_contain_text(re.compile(r"1\d:\d\d left"))
    shot(page, "review")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    shot(page, "review-360")
    page.clock.install()
    page.clock.fast_forward("30:00")
    expect(review).to_contain_text("ran out; your deposit's own block sets the price")
    (quote,) = quotes(site)
    assert int(quote.amount) == 10**15 + 7
    page.locator("#send-stop").click()
    expect(page.locator("#send-eth")).to_be_enabled()
    expect(page.locator("#send-eth")).to_be_focused()


def test_a_price_that_moved_is_not_sent_by_surprise(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    expect(rail(page, "eth")).to_contain_text("120.0 minutes")
    site.chain.set_eth_usd(2_000 * 10**8)
    try:
        page.get_by_role("button", name="Send min ETH").click()
        review = page.locator(".review[data-step=agree]")
        expect(review).to_contain_text("60.0 minutes")
        expect(review).to_contain_text("The price has moved")
        assert wallet.sent == []
        page.locator("#send-not").click()
        expect(page.get_by_role("button", name="Send min ETH")).to_be_enabled()
        page.get_by_role("button", name="Send min ETH").click()
        page.locator("#send-anyway").click()
        credited(page)
    finally:
        site.chain.set_eth_usd(4_000 * 10**8)
    (event,) = events(site)
    assert (event.credited_gpu_ms, len(wallet.sent), len(quotes(site))) == (3_600_000, 1, 1)


def test_too_little_in_the_wallet_is_said_before_anything_is_sent(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    site.chain.mint_usdc(wallet.account.address, 10**6 - 1)
    site.chain.rpc("anvil_setBalance", wallet.account.address, hex(5 * 10**14))
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    page.get_by_role("button", name="Send min USDC").click()
    expect(rail(page, "usdc").get_by_role("alert")).to_contain_text("your wallet holds 0.999999")
    page.get_by_role("button", name="Send min ETH").click()
    expect(rail(page, "eth").get_by_role("alert")).to_contain_text(
        "with the network's fee, your wallet holds 0.0005"
    )
    assert wallet.sent == []


def test_the_wallet_is_brought_to_the_right_chain(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    wallet.chain_id, wallet.knows = 1, {1, 84532}
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#deposits li")).to_have_count(1)
    assert wallet.chain_id == 84532
    assert wallet.asked.index("wallet_switchEthereumChain") < wallet.asked.index("eth_sendTransaction")
    wallet.chain_id, wallet.knows = 1, {1}
    page.route("**/api/v1/config", offer_node)
    page.goto("about:blank")
    page.goto(f"{site.origin}/launch#top-up")
    page.locator("#other-eth").click()
    page.locator("#amount-eth").fill("0.0006")
    page.locator("#send-amount-eth").click()
    expect(page.locator("#deposits li")).to_have_count(2)
    (added,) = wallet.added
    assert [int(sent["value"], 16) for sent in wallet.sent] == [5 * 10**14, 6 * 10**14]
    assert (added["chainId"], added["rpcUrls"]) == (hex(84532), ["https://node.example/rpc"])
    assert added["nativeCurrency"]["decimals"] == 18


def test_each_rail_is_sent_on_its_own_chain(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    def two_chains(route: Any) -> None:
        answer = route.fetch()
        config = answer.json()
        config["chains"].append(
            {**config["chain"], "id": 31337, "name": "other chain", "genesis_hash": "0x" + "22" * 32}
        )
        route.fulfill(response=answer, json=config)

    def usdc_elsewhere(route: Any) -> None:
        answer = route.fetch()
        rates = answer.json()
        rates["rows"][1]["chain_id"] = 31337
        route.fulfill(response=answer, json=rates)

    page = visitor.new_page()
    page.route("**/api/v1/config", two_chains)
    page.route("**/api/v1/rates", usdc_elsewhere)
    sign_in(page, site, WALLET_NAME)
    expect(rail(page, "usdc")).to_contain_text("On other chain.")
    expect(rail(page, "eth")).to_contain_text("On test chain.")
    page.get_by_role("button", name="Send min USDC").click()
    expect(page.locator(".toast.bad")).to_contain_text("does not know other chain (chain 31337)")
    wallet.knows.add(31337)
    page.get_by_role("button", name="Send min USDC").click()
    expect(rail(page, "usdc").get_by_role("alert")).to_contain_text(
        "another chain that also has the number 31337"
    )
    assert (wallet.chain_id, wallet.sent) == (31337, [])
    wallet.answers |= {"eth_getBlockByNumber": {"hash": "0x" + "22" * 32}, "eth_sendTransaction": NEVER}
    page.get_by_role("button", name="Send min USDC").click()
    expect(rail(page, "usdc").get_by_role("alert")).to_contain_text("Not enough USDC")
    wallet.answers["eth_call"] = hex(10**6)
    page.get_by_role("button", name="Send min USDC").click()
    expect(page.locator(".review[data-step=wallet]")).to_contain_text("other chain, chain 31337")


def offer_node(route: Any) -> None:
    answer = route.fetch()
    config = answer.json()
    config["chains"][0]["rpc_url"] = "https://node.example/rpc"
    route.fulfill(response=answer, json=config)


def test_a_row_without_a_trustworthy_price_cannot_be_sent(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    chain = site.chain
    feed = chain.contract("PriceFeed", chain.deployment.usdc_usd_feed)
    chain.call(chain.faucet, feed.functions.setAnswer(90_000_000))
    try:
        page = visitor.new_page()
        sign_in(page, site, WALLET_NAME)
        expect(rail(page, "usdc")).to_contain_text("There is no trustworthy price right now")
        expect(page.get_by_role("button", name="Send min USDC")).to_be_disabled()
        expect(page.locator("#other-usdc")).to_have_count(0)
        expect(page.get_by_role("button", name="Send min ETH")).to_be_enabled()
        shot(page, "no-price")
    finally:
        chain.call(chain.faucet, feed.functions.setAnswer(100_000_000))


def test_every_pasted_hash_gets_its_own_line(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    chain, stranger = site.chain, site.chain.accounts[0]
    fake = chain.contract("FakeToken", chain.deployment.fake_token).functions
    revenue = chain.deployment.revenue_wallet
    hashes = {
        "Unsupported token": chain.call(stranger, fake.pretend(stranger.address, revenue, 5)),
        "Pays nothing to this site": chain.pay(stranger, 10**15, to=wallet.account.address),
        "belongs to": chain.pay(stranger, 10**15),
    }
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    for said, tx_hash in hashes.items():
        page.locator("#hash").fill(tx_hash.upper().replace("0X", ""))
        page.keyboard.press("Enter")
        expect(page.locator(f"#deposits li[data-tx='{tx_hash}']")).to_contain_text(said, timeout=20_000)
    shot(page, "lines")
    page.locator("#hash").fill("0x12")
    page.locator("#credit").click()
    expect(page.locator(".toast.bad")).to_contain_text("64 hex digits")
    expect(page.locator("#balance")).to_have_text("0minutes")


def test_topping_up_from_the_desktop_leaves_it_running(visitor: BrowserContext, site: Running) -> None:
    page = visitor.new_page()
    sign_in(page, site)
    page.get_by_role("button", name="Send min ETH").click()
    expect(page.locator("#balance")).not_to_have_text("0minutes", timeout=30_000)
    page.get_by_role("button", name="Launch GPU-Native Desktop").click()
    page.wait_for_url("**/desktop/*")
    expect(page.locator("#link")).to_have_attribute("data-state", "on")
    page.route("**/heartbeat", low_balance)
    link = page.get_by_role("link", name="Top up in a new tab")
    with visitor.expect_page() as opened:
        link.click(timeout=20_000)
    panel = opened.value
    expect(panel.locator("#pay")).to_be_visible()
    panel.get_by_role("button", name="Send min USDC").click()
    expect(panel.locator("#balance")).to_have_text(re.compile("1(79|80)minutes"), timeout=30_000)
    panel.close()
    expect(page.locator("#link")).to_have_attribute("data-state", "on")
    assert len(site.desktops.running) == 1


def low_balance(route: Any) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "low_balance": True})
