"""Pages, statement, health, guard reports, the gunicorn entry; and the routes as the README has them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from fakes import payment
from web_kit import ALICE, BOB, Site

import controller.app
from controller.models import Host
from controller.services.deposits import of_wallet as deposits

pytestmark = pytest.mark.integration
WEB = Path(controller.app.__file__).parent / "web"


def deposit(site: Site, account, wei: int) -> None:
    """A payment on chain, confirmed and credited by the watcher."""
    deposits.watch_once(site.deps)
    site.chain.mine(payments=[payment(account.address.lower(), wei, tx=account.address)])
    site.chain.mine(6)
    while deposits.watch_once(site.deps):
        pass


def test_the_landing_page_names_sizes_and_prices(site: Site) -> None:
    page = site.browser().get("/").text
    for words in (
        "Small",
        "Medium",
        "Large",
        "Max",
        "$8.00",
        "Notebooks, analysis, light viz",
        "Send ETH or USDC.",
    ):
        assert words in page


def test_simulated_gpus_are_said_openly(site: Site) -> None:
    assert "Simulated GPUs" not in site.browser().get("/launch").text
    with site.deps.database.begin() as db:
        db.add(
            Host(
                name="local", address="localhost", connection="local", state="ready", simulated=True,
                gateway_url="ws://localhost:8081",
            )
        )  # fmt: skip
    assert "Simulated GPUs" in site.browser().get("/launch").text
    assert "Simulated GPUs" in site.browser().get("/").text
    assert site.browser().get("/api/v1/config").json["simulated_gpus"] is True


def test_a_deposit_shows_as_balance_statement_and_csv_to_its_payer_alone(site: Site) -> None:
    alice, bob = site.browser().sign_in(ALICE), site.browser().sign_in(BOB)
    deposit(site, ALICE, 10**15)
    balance = alice.get("/api/v1/me").json["balance"]["gpu_ms"]
    assert balance == 2 * 60 * 60_000  # 0.001 ETH at $2000 buys two GPU-hours
    listed = alice.get("/api/v1/deposits").json["deposits"]
    assert [(d["amount"], d["credited_gpu_ms"], d["yours"]) for d in listed] == [(str(10**15), balance, True)]
    lines = alice.get("/api/v1/statement").json["lines"]
    assert sum(line["gpu_ms"] for line in lines) == balance
    rows = list(csv.DictReader(io.StringIO(alice.get("/api/v1/statement.csv").text)))
    assert sum(int(row["gpu_ms"]) for row in rows) == balance
    assert "+120.00" in alice.get("/statement").text
    assert bob.get("/api/v1/me").json["balance"]["gpu_ms"] == 0
    assert bob.get("/api/v1/deposits").json == {"deposits": []}
    assert bob.get("/api/v1/statement").json == {"lines": [], "next": None}
    assert "+120.00" not in bob.get("/statement").text


def test_pages_of_a_wallet_send_strangers_to_the_launch_page(site: Site) -> None:
    for path in ("/statement", "/desktop/abc"):
        answer = site.browser().get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/launch")


def test_the_desktop_page_may_reach_the_gateways_and_nothing_else(site: Site) -> None:
    with site.deps.database.begin() as db:
        for name, url in (("a", "wss://gpu-a.example.org:8443"), ("b", "wss://x.example; script-src *")):
            db.add(
                Host(
                    name=name, address="h", connection="ssh", state="ready", simulated=False, gateway_url=url
                )
            )
    policy = site.browser().sign_in().get("/desktop/abc").headers["Content-Security-Policy"]
    found = re.search(r"connect-src ([^;]*);", policy)
    assert found is not None
    assert found[1] == "'self' ws://localhost:8081 wss://gpu-a.example.org:8443"
    launch = site.browser().get("/launch").headers["Content-Security-Policy"]
    assert "connect-src 'self';" in launch


def test_a_session_id_in_the_address_stays_text(site: Site) -> None:
    page = site.browser().sign_in().get('/desktop/"><script>alert(1)<').text
    assert "<script>alert" not in page


def test_novnc_is_served_and_nothing_beside_it(site: Site) -> None:
    assert site.browser().get("/vendor/novnc/core/rfb.js").mimetype == "text/javascript"
    assert site.browser().get("/vendor/novnc/../guard_token").status_code == 404
    assert site.browser().get("/vendor/novnc/%2e%2e/guard_token").status_code == 404


def test_health_tells_database_and_chain_apart(site: Site) -> None:
    healthy = {"ok": True, "database": True, "chain": True, "head_block": 0}
    assert site.app.test_client().get("/healthz", base_url="http://10.0.0.5").json == healthy
    site.chain.down = True
    site.clock.advance(2_000)
    answer = site.browser().get("/healthz")
    assert (answer.status_code, answer.json["chain"], answer.json["ok"]) == (200, False, True)


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "the-guards-token"])
def test_a_guard_without_the_token_is_refused(site: Site, token: str) -> None:
    answer = site.app.test_client().post("/internal/guard/report", json={}, headers={"Authorization": token})
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "sign_in_needed")


def test_a_guard_with_the_token_is_heard(site: Site) -> None:
    with site.deps.database.begin() as db:
        db.add(
            Host(
                name="local", address="localhost", connection="local", state="ready", simulated=True,
                gateway_url="ws://localhost:8081",
            )
        )  # fmt: skip
    body = {"host": "local", "boot_id": "b", "at_ms": site.clock.ms, "slots": [], "delivered": []}
    headers = {"Authorization": "Bearer the-guards-token"}
    answer = site.app.test_client().post("/internal/guard/report", json=body, headers=headers)
    assert answer.status_code == 200, answer.json
    assert answer.json["leases"] == []
    assert answer.json["next_ms"] > 0


def test_unknown_paths_answer_in_the_readers_language(site: Site) -> None:
    page = site.browser().get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "There is nothing at this address." in page.text
    api = site.browser().get("/api/v1/nowhere", headers={"Accept": "text/html"})
    assert api.json["error"]["code"] == "not_found"


def test_the_readme_lists_every_route_and_no_other(local_site: Site) -> None:
    table = re.findall(r"^\| (GET|POST) \| `([^`]+)` \|", (WEB / "README.md").read_text(), re.MULTILINE)
    routes = {
        (method, rule.rule)
        for rule in local_site.app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}
    }
    assert sorted(table) == sorted(routes)


def test_the_gunicorn_entry_lists_every_problem_and_gives_up(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "axonos.toml"
    file.write_text(
        'instance = "Bad Name"\nmode = "somehow"\n[web]\norigin = "http://example.org"\nport = 0\n'
    )
    monkeypatch.setenv("AXONOS_CONFIG", str(file))
    with pytest.raises(SystemExit) as ended:
        controller.app.wsgi()
    assert ended.value.code == 4
    said = capsys.readouterr().err
    for word in ("instance", "mode", "web.origin", "web.port", "database", "chain"):
        assert word in said


def test_all_missing_files_are_named_at_once(make_site, tmp_path) -> None:
    from controller.errors import SettingsInvalid

    gone = {name: str(tmp_path / "gone" / name) for name in ("web_key", "ticket_private_key", "guard_token")}
    with pytest.raises(SettingsInvalid) as refused:
        make_site(secrets=gone, novnc_dir=tmp_path / "gone")
    for name in (*gone, "novnc_dir"):
        assert name in refused.value.message
