"""Rates and quotes over HTTP: what each visitor sees, and that asking costs the chain's nodes next to nothing."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fakes import ETHER, FakeChain, payment
from web_kit import ALICE, BOB, Site

from controller.services.deposits import of_wallet as deposits

pytestmark = pytest.mark.integration
MINIMUM = 5 * 10**14
DAY_S = 86_400


def row(answer: Any, rail: str) -> dict[str, Any]:
    found: dict[str, Any] = next(r for r in answer.json["rows"] if r["rail"] == rail)
    return found


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each question was put to the chain."""
    counted: Counter[str] = Counter()

    def count(name: str) -> None:
        real = getattr(FakeChain, name)

        def ask(self: FakeChain, *args: Any) -> Any:
            counted[name] += 1
            return real(self, *args)

        monkeypatch.setattr(FakeChain, name, ask)

    for name in ("head", "block", "eth_usd", "usdc_usd", "axgt_usd", "axgt_balance"):
        count(name)
    return counted


def test_a_visitor_sees_each_rail_with_minimum_price_and_minutes(site: Site) -> None:
    answer = site.browser().get("/api/v1/rates")
    eth, usdc, axgt = (row(answer, rail) for rail in ("eth", "usdc", "axgt"))
    assert (eth["minimum"], eth["minutes_for_minimum"], eth["usd_price_text"]) == (
        str(MINIMUM),
        "60.0",
        "2000",
    )
    assert eth["price_updated_at_ms"] == site.clock.ms
    assert eth["saves_text"] == "100 AXGT more: 5 % less per minute"
    assert (usdc["minutes_for_minimum"], usdc["price_updated_at_ms"], usdc["saves_text"]) == (
        "60.0",
        None,
        None,
    )
    assert (axgt["enabled"], axgt["minutes_for_minimum"], axgt["bonus_bps"]) == (False, None, 2_500)
    assert answer.json["holding"] is None
    assert answer.json["quote_minutes"] == 15


def test_a_holder_sees_the_tier_and_what_the_next_one_saves(site: Site) -> None:
    site.chain.holdings[ALICE.address.lower()] = 1_250 * ETHER + 5 * 10**17
    answer = site.browser().sign_in().get("/api/v1/rates")
    assert answer.json["holding"]["axgt_balance_text"] == "1,250.5"
    assert answer.json["holding"]["tier_label"] == "Tier 2 (10 % off)"
    eth = row(answer, "eth")
    assert (eth["minimum"], eth["discount_bps"]) == (str(MINIMUM * 9 // 10), 1_000)
    assert eth["saves_text"] == "8,749.5 AXGT more: 5.5 % less per minute"


def test_with_look_back_the_tier_that_counts_and_when_it_rises(make_site: Any, monkeypatch: Any) -> None:
    site = make_site(pricing={"tier_lookback_days": [1, 7]})
    site.chain.seconds_per_block = DAY_S
    site.chain.mine(9)
    site.clock.advance(9 * DAY_S * 1000)
    bought = site.chain.blocks[-3]

    def balance(self: FakeChain, _wallet: str, block_hash: str | None = None) -> int:
        at = next(b for b in self.blocks if b.hash == (block_hash or self.blocks[-1].hash))
        return (1_000 if at.number >= bought.number else 120) * ETHER

    monkeypatch.setattr(FakeChain, "axgt_balance", balance)
    held = site.browser().sign_in().get("/api/v1/rates").json["holding"]
    assert (held["axgt_balance_text"], held["tier_index"], held["lookback_days"]) == ("1,000", 1, 7)
    assert held["rises_to"] == "Tier 2 (10 % off)"
    assert held["rises_at_ms"] == site.clock.ms + 7 * DAY_S * 1000


def test_any_number_of_visitors_costs_one_look_at_the_chain(site: Site, asked: Counter[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.browser().get("/api/v1/rates").status_code, range(100)))
    assert answers == [200] * 100
    assert asked == {"head": 2, "eth_usd": 1, "usdc_usd": 1}  # a head for each enabled rail
    site.clock.advance(3_000)
    site.browser().get("/api/v1/rates")
    assert asked["eth_usd"] == 2
    alice = site.browser().sign_in()
    for _ in range(10):
        alice.get("/api/v1/rates")
    assert asked["axgt_balance"] == 1


def test_any_page_of_the_site_may_be_asked_for_without_asking_the_chain_each_time(
    site: Site, asked: Counter[str]
) -> None:
    """Every route that a stranger may read, whichever comes to be added."""
    rules = [r for r in site.app.url_map.iter_rules() if "GET" in (r.methods or ()) and not r.arguments]
    paths = sorted(r.rule for r in rules)
    assert {"/healthz", "/api/v1/rates", "/api/v1/config", "/launch"} <= set(paths)
    for path in paths * 2:
        site.browser().get(path)
    asked.clear()
    for path in paths * 5:
        site.browser().get(path)
    assert asked.total() == 0


def test_a_chain_that_is_down_is_not_asked_again_and_again(site: Site, asked: Counter[str]) -> None:
    site.chain.down = True
    browser = site.browser().sign_in()
    for _ in range(20):
        answer = browser.get("/api/v1/rates")
    assert asked.total() <= 3
    assert [r["why_not"] is not None for r in answer.json["rows"]] == [True, True, False]
    assert "cannot be read" in row(answer, "eth")["why_not"]
    assert row(answer, "eth")["gpu_ms_per_unit_text"] is None
    assert answer.json["holding"] is None


def test_a_stale_price_says_so_and_cannot_be_quoted(site: Site) -> None:
    site.chain.feed_age_s = 3_901
    browser = site.browser().sign_in()
    eth = row(browser.get("/api/v1/rates"), "eth")
    assert "no trustworthy price" in eth["why_not"]
    assert eth["minutes_for_minimum"] is None
    assert code(browser.post("/api/v1/quotes", {"rail": "eth", "amount": "min"})) == (
        503,
        "price_unavailable",
    )
    assert browser.post("/api/v1/quotes", {"rail": "usdc", "amount": "min"}).status_code == 201


def test_too_many_visitors_from_one_place_are_slowed_down(site: Site) -> None:
    browser = site.browser()
    codes = [browser.get("/api/v1/rates").status_code for _ in range(125)]
    assert (codes.count(200), codes.count(429)) == (120, 5)


def test_a_quote_is_made_read_and_honoured_for_its_wallet_alone(site: Site) -> None:
    alice, bob = site.browser().sign_in(ALICE), site.browser().sign_in(BOB)
    made = alice.post("/api/v1/quotes", {"rail": "eth", "amount": "min"})
    assert made.status_code == 201
    quote = made.json
    assert (quote["amount"], quote["amount_text"], quote["gpu_ms"]) == (str(MINIMUM), "0.0005 ETH", 3_600_000)
    assert quote["expires_at_ms"] - quote["server_now_ms"] == 15 * 60_000
    assert quote["pay_to"].lower() == site.deps.settings.chain.revenue_wallet.lower()
    path = f"/api/v1/quotes/{quote['id']}"
    assert code(bob.get(path)) == (404, "not_found")
    assert code(site.browser().get(path)) == (401, "sign_in_needed")
    deposits.watch_once(site.deps)
    site.chain.eth_usd_answer = 1_000 * 10**8
    for browser, account in ((alice, ALICE), (bob, BOB)):
        site.chain.mine(payments=[payment(account.address.lower(), MINIMUM, tx=account.address)])
        site.chain.mine(6)
        while deposits.watch_once(site.deps):
            pass
        assert browser.get("/api/v1/me").status_code == 200
    assert alice.get("/api/v1/me").json["balance"]["gpu_ms"] == 3_600_000
    assert bob.get("/api/v1/me").json["balance"]["gpu_ms"] == 1_800_000
    used = alice.get(path).json
    assert (used["state"], used["tx_hash"]) == ("used", FakeChain.hash_of(ALICE.address))
    why = alice.get("/api/v1/statement").json["lines"][0]["why"]
    assert why["quote"]["id"] == quote["id"]


@pytest.mark.parametrize(
    "asked_for",
    [
        {},
        {"rail": "eth"},
        {"rail": 5, "amount": "min"},
        {"rail": "eth", "amount": 500},
        {"rail": "eth", "amount": "1.5"},
        {"rail": "eth", "amount": "-5"},
        {"rail": "eth", "amount": "9" * 79},
        {"rail": "eth", "amount": "min", "gpu_hours": 1},
        {"rail": "eth", "gpu_hours": 1.5},
        {"rail": "eth", "gpu_hours": -1},
        {"rail": "eth", "gpu_hours": 10**40},
        {"rail": "eth", "amount": {"$gt": 0}},
        {"rail": "eth; --", "amount": "min"},
    ],
)
def test_a_strange_wish_is_refused_without_a_question_to_the_chain(
    site: Site, asked: Counter[str], asked_for: dict[str, Any]
) -> None:
    answer = site.browser().sign_in().post("/api/v1/quotes", asked_for)
    assert answer.status_code in (400, 409), answer.json
    assert asked.total() == 0 or answer.status_code == 409


def test_quotes_are_slowed_down_per_wallet(site: Site, asked: Counter[str]) -> None:
    browser = site.browser().sign_in()
    asks = [{"rail": "eth", "amount": str(MINIMUM + n)} for n in range(14)]
    answers = [browser.post("/api/v1/quotes", ask) for ask in asks]
    codes = [a.status_code if a.status_code == 201 else a.json["error"]["code"] for a in answers]
    assert codes == [201] * 5 + ["too_many_quotes"] * 7 + ["too_many_requests"] * 2
    assert int(answers[5].headers["Retry-After"]) == 15 * 60
    assert asked["eth_usd"] == 12


def test_the_configuration_names_every_chain(make_site: Any) -> None:
    other = {
        "chain_id": 31337,
        "name": "base",
        "rpc_urls": ["http://127.0.0.1:1"],
        "revenue_wallet": "0x" + "cd" * 20,
    }
    site = make_site(
        further_chains=[
            {**other, "genesis_hash": FakeChain.genesis_of("base"), "wallet_rpc_url": "https://n.example"}
        ]
    )
    chains = site.browser().get("/api/v1/config").json["chains"]
    assert [(c["id"], c["name"], c["rpc_url"]) for c in chains] == [
        (84532, "test chain", None),
        (31337, "base", "https://n.example"),
    ]
    assert chains[1]["revenue_wallet"] != other["revenue_wallet"]  # checksummed
    assert "127.0.0.1" not in site.browser().get("/api/v1/config").text
