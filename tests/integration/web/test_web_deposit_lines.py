"""What the page says of every deposit: a line for each state, and of one that was replaced."""

from __future__ import annotations

from typing import Any

import pytest
from browser_fixtures import (
    InjectedWallet,
    sign_in,
    site_fixture,  # noqa: F401
    visitor_fixture,  # noqa: F401
    wallet_fixture,  # noqa: F401
)
from browser_kit import Running
from chainkit import ETHER, anvil_fixture  # noqa: F401
from playwright.sync_api import BrowserContext, expect

from controller.domain.deposits import (
    Told,
    dropped_text,
    pending_text,
    replaced_text,
    sent_text,
    state_text,
)
from controller.models.money import STATES

pytestmark = pytest.mark.integration
WALLET_NAME = "Test <b>Wallet</b>"


# Every state a deposit can be in on this page, with its heading and words of the sentence under it.
LINES = {
    "seen": ("Pending, 1 of 6", ""),
    "confirming": ("Pending, 3 of 6", ""),
    "credited": ("Credited", "Provisional until its block is final"),
    "final": ("Credited, final", ""),
    "orphaned": ("The chain took it back; watching", "If it is mined again, it counts"),
    "reversed": ("Reversed with the chain", "the credit was taken back"),
    "below_min": ("Below the minimum, kept", "more are missing"),
    "unattributed": ("Payer unclear; the operator sees it", "It is kept; ask the operator"),
    "wrong_asset": ("Not accepted here", "where it is not accepted"),
    "price_pending": ("Waiting for a price", "until its price is known"),
    "returned": ("Sent back by the operator", "sent these 0.001 ETH back"),
    "not mined": ("Sent, not mined yet", "Looked up first less than a minute ago"),
    "dropped": ("Dropped by the network", "it was dropped"),
    "replaced": ("Replaced by another transaction", "That one counts"),
}


def line_of(state: str, number: int) -> dict[str, Any]:
    """A deposit as the API tells it, with the domain's own words."""
    told = Told(state, "eth", 10**15, 18, "test chain", minimum=2 * 10**15, missing=10**15)
    not_mined = {"not mined": sent_text(6, 0), "dropped": dropped_text(0), "replaced": replaced_text("0xabc")}
    confirmations = {"seen": 1, "confirming": 3}.get(state, 0 if state in not_mined else 6)
    pending = pending_text(confirmations, 6) if state in {"seen", "confirming"} else None
    return {
        "tx_hash": f"0x{number:064x}",
        "state": "seen" if state == "not mined" else state,
        "confirmations": confirmations,
        "required": 6,
        "asset": None if state in not_mined else "eth",
        "amount": None if state in not_mined else 10**15,
        "credited_gpu_ms": 60_000 if state in {"credited", "final"} else None,
        "payer": None,
        "message": not_mined.get(state) or pending or state_text(told),
        "yours": True,
        "chain_name": "test chain",
    }


def test_every_state_has_a_line_of_its_own(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    assert set(LINES) >= set(STATES) - {"own_move"}  # a move inside the house is on nobody's page
    listed: list[dict[str, Any]] = []
    visitor.route("**/api/v1/deposits", lambda route: route.fulfill(json={"deposits": listed}))
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    for number, (state, (heading, words)) in enumerate(LINES.items()):
        listed[:] = [line_of(state, number)]
        line = page.locator(f"#deposits li[data-tx='0x{number:064x}']")
        expect(line.locator(".deposit-head span").first).to_have_text(heading)
        expect(line).to_contain_text(words)


def test_a_replaced_transaction_is_told_and_can_be_put_away(
    visitor: BrowserContext, site: Running, wallet: InjectedWallet
) -> None:
    page = visitor.new_page()
    sign_in(page, site, WALLET_NAME)
    said = {
        "state": "seen",
        "message": "Sent, not mined yet; looked up first less than a minute ago.",
        "amount": None,
    }
    shape = {"confirmations": 0, "required": 6, "asset": None, "payer": None, "yours": False}

    def tell(route: Any) -> None:
        if route.request.method == "POST":
            route.fulfill(json={**shape, **said})
        else:
            route.continue_()

    page.route("**/api/v1/deposits", tell)
    page.locator("#hash").fill("0x" + "7" * 64)
    page.locator("#credit").click()
    line = page.locator("#deposits li")
    expect(line).to_contain_text("Sent, not mined yet")
    page.reload()
    expect(line).to_contain_text("Looked up first less than a minute ago")
    said |= {
        "state": "replaced",
        "message": "Replaced by 0xabc, which your wallet sent in its place. That one counts.",
    }
    expect(line).to_contain_text("That one counts", timeout=15_000)
    line.get_by_role("button", name="Hide").click()
    expect(line).to_have_count(0)
