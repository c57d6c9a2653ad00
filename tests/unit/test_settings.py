"""The configuration: every problem at once, in the file's own words, and what sections must agree on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakes import AXGT, POOL, REVENUE, USDC, FakeChain, make_settings
from pydantic import ValidationError

from controller.errors import SettingsInvalid
from controller.settings import load_settings

BASE: dict[str, Any] = {
    "chain_id": 8453,
    "name": "Base",
    "rpc_urls": ["http://127.0.0.1:1"],
    "genesis_hash": FakeChain.genesis_of("base"),
    "revenue_wallet": REVENUE,
}


def problems(**sections: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        make_settings(**sections)
    return str(refused.value)


def test_the_defaults_are_those_of_the_design():
    s = make_settings()
    assert (s.eth.enabled, s.eth.minimum_wei) == (True, 5 * 10**14)
    assert (s.usdc.enabled, s.usdc.minimum, s.usdc.depeg_below_usd) == (True, 10**6, Decimal("0.98"))
    assert (s.axgt.enabled, s.axgt.minimum_tokens, s.axgt.bonus_bps) == (False, 100, 2_500)
    assert (s.quotes.minutes, s.chain.confirmations, s.pricing.tier_lookback_days) == (15, 6, [])
    assert s.chain.provisional_cap_minutes is None
    assert [s.chain_of(rail).chain_id for rail in ("eth", "usdc", "axgt")] == [84532] * 3


def test_usdc_may_live_on_another_chain():
    s = make_settings(further_chains=[BASE], usdc={"chain_id": 8453})
    assert [chain.chain_id for chain in s.chains] == [84532, 8453]
    assert (s.chain_of("usdc").name, s.chain_of("axgt").name) == ("Base", "test chain")
    with pytest.raises(KeyError):
        s.chain_by_id(1)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"axgt": {"enabled": True, "single_source": True}}, "axgt.pool: the enabled rail needs a pool"),
        ({"axgt": {"enabled": True, "pool": POOL}}, "axgt.second_feed: the enabled rail needs a second"),
        (
            {"axgt": {"enabled": True, "pool": POOL, "second_feed": POOL, "daily_cap_gpu_minutes_total": 1}},
            "daily_cap_gpu_minutes_wallet is above",
        ),
        ({"usdc": {"chain_id": 8453}}, "usdc.chain_id: chain 8453 is not configured"),
        ({"usdc": {"contract": AXGT}}, "usdc.contract and axgt.contract are the same"),
        ({"further_chains": [BASE, BASE]}, "chain 8453 is configured twice"),
        ({"further_chains": [{**BASE, "chain_id": 84532}]}, "chain 84532 is configured twice"),
        ({"chain": {"agreement_above_gpu_minutes": 5}}, "agreement_above_gpu_minutes needs two rpc_urls"),
        ({"chain": {"revenue_wallet": USDC}}, f"revenue wallet {USDC} is the usdc contract"),
        ({"chain": {"former_revenue_wallets": [REVENUE.upper().replace("X", "x")]}}, "named twice"),
        ({"chain": {"former_revenue_wallets": ["0x12"]}}, "should match pattern"),
        ({"pricing": {"tier_lookback_days": [7, 1]}}, "1 to 365, ascending"),
        ({"pricing": {"tiers": [(100, 5)]}}, "from 0 upwards"),
        ({"pricing": {"tiers": [(0, 0), (100, 10_000)]}}, "0 to 9999"),
        ({"usdc": {"depeg_below_usd": "1.2"}}, "less than or equal to 1"),
        ({"axgt": {"bonus": 5}}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused(sections, said):
    assert said in problems(**sections)


TOML = """
instance = "test"
mode = "production"
state_dir = "/x"
run_dir = "/x"
novnc_dir = "/x"
playbooks_dir = "/x"
[web]
origin = "http://localhost:8080"
port = {port}
[gateway]
url = "ws://localhost:8081"
port = 8081
[database]
url = "postgresql+psycopg://nowhere/none"
[chain]
chain_id = 84532
name = "test"
rpc_urls = ["http://127.0.0.1:1"]
genesis_hash = "0x{genesis}"
revenue_wallet = "0x{revenue}"
[eth]
usd_feed = "0x{feed}"
[axgt]
contract = "0x{feed}"
enabled = true
[usdc]
contract = "0x{token}"
chain_id = 5
[sessions]
image_id = "sha256:0"
[secrets]
web_key = "/x"
ticket_private_key = "/x"
guard_token = "/x"
[host]
name = "local"
controller_url = "http://127.0.0.1:8080"
homes_dir = "/x"
run_dir = "/x"
ticket_public_key = "/x"
guard_token = "/x"
pages_origin = "http://localhost:8080"
"""


def refusal(folder: Path, **values: Any) -> list[str]:
    base = {"port": 8080, "genesis": "1" * 64, "revenue": "a" * 40, "feed": "b" * 40, "token": "c" * 40}
    path = folder / "axonos.toml"
    path.write_text(TOML.format(**{**base, **values}))
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(path)
    return refused.value.message.splitlines()


def test_all_problems_are_listed_at_once(tmp_path):
    first, *lines = refusal(tmp_path)
    assert first.endswith("axonos.toml has 3 problem(s):")
    assert [line.strip().split(":")[0] for line in lines] == [
        "usdc.chain_id",
        "axgt.pool",
        "axgt.second_feed",
    ]


def test_wrong_fields_do_not_hide_what_sections_do_not_agree_on(tmp_path):
    _, *lines = refusal(tmp_path, port=0, feed="z" * 40)
    said = "\n".join(lines)
    assert "web.port" in said
    assert "eth.usd_feed" in said
    assert "usdc.chain_id: chain 5 is not configured" in said
    _, *lines = refusal(tmp_path, revenue="z")
    assert "axgt.pool" in "\n".join(lines)
    assert "chain.revenue_wallet" in "\n".join(lines)


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe", "no UTF-8"), (b"a = [", "axonos.toml")])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content, said):
    path = tmp_path / "axonos.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=said):
        load_settings(path)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(SettingsInvalid, match="Run `make up` first"):
        load_settings(tmp_path / "none.toml")
