"""The statement's files and a deposit's new owner, over HTTP."""

from __future__ import annotations

import csv
import io
import json

from eth_account.messages import encode_typed_data
from fakes import payment
from web_kit import ALICE, BOB, MAGIC, Site

from controller.domain.operator_entries import Entry
from controller.services.deposits import of_wallet as deposits
from controller.services.money import ledger_requests

HOUR = 3_600_000


def paid(site: Site, account=ALICE, tx: str = "tx", wei: int = 5 * 10**14) -> str:
    wallet = account.address.lower()
    at = site.chain.mine(1, [payment(wallet, wei, tx=tx)])
    site.chain.mine(6)
    site.chain.finalized = at.number
    deposits.watch_once(site.deps)
    deposits.watch_once(site.deps)
    return site.chain.hash_of(tx)


def test_the_files_hold_every_transfer_and_no_formula(site: Site) -> None:
    alice = site.browser().sign_in(ALICE)
    paid(site)
    wallet, reason = ALICE.address.lower(), '=HYPERLINK("http://evil.example")'
    ledger_requests.submit(site.deps, Entry("r1", "credit", wallet, 60_000, reason), "olga")
    answer = alice.get("/api/v1/statement.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="axonos-statement.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["kind"] for row in rows] == ["credit", "deposit"]
    assert rows[0]["reason"] == "'" + reason
    for row in rows:
        assert not any(str(cell).startswith(("=", "+", "@")) for cell in row.values())
    balance = alice.get("/api/v1/me").json["balance"]["gpu_ms"]
    assert sum(int(row["gpu_ms"]) for row in rows) == balance == HOUR + 60_000
    whole = json.loads(alice.get("/api/v1/statement.json").text)
    assert (whole["wallet"], sum(line["gpu_ms"] for line in whole["lines"])) == (wallet, balance)
    first = alice.get("/api/v1/statement?limit=1").json
    assert len(first["lines"]) == 1
    second = alice.get(f"/api/v1/statement?limit=1&before={first['next']}").json
    assert (second["lines"][0]["kind"], second["next"]) == ("deposit", None)
    assert alice.get("/api/v1/statement?before=x").status_code == 400
    page = alice.get("/statement").text
    assert "Credit by the operator" in page
    assert "&#34;http://evil.example&#34;" in page


def test_a_sessions_windows_are_its_owners(site: Site) -> None:
    assert site.browser().get("/statement/abc").status_code == 302
    assert site.browser().sign_in(BOB).get("/statement/abc").status_code == 404


def test_a_payer_gives_a_deposit_away(site: Site) -> None:
    tx_hash = paid(site)
    bob = site.browser().sign_in(BOB)
    asked = {
        "chain_id": site.deps.settings.chain.chain_id,
        "tx_hash": tx_hash,
        "event_index": "eth:0",
        "beneficiary": BOB.address,
    }
    words = bob.post("/api/v1/deposits/assign/words", asked).json
    signature = "0x" + ALICE.sign_message(encode_typed_data(full_message=words)).signature.hex()
    told = {"nonce": words["message"]["nonce"], "deadline": words["message"]["deadline"]}
    whole = {**asked, **told, "signature": signature}
    wrong = bob.post("/api/v1/deposits/assign", {**whole, "signature": "0x" + "11" * 65})
    assert (wrong.status_code, wrong.json["error"]["code"]) == (401, "sign_in_refused")
    for _ in range(2):
        made = bob.post("/api/v1/deposits/assign", whole)
        assert made.status_code == 200, made.json
        assert made.json["gpu_ms"] == HOUR
    assert bob.get("/api/v1/me").json["balance"]["gpu_ms"] == HOUR
    assert site.browser().post("/api/v1/deposits/assign", whole).status_code == 401
    for name, value in (("nonce", "x"), ("deadline", None), ("chain_id", True), ("nonce", "9" * 79)):
        assert bob.post("/api/v1/deposits/assign", {**whole, name: value}).status_code == 400


def test_a_contract_wallet_that_changes_its_mind_is_signed_out(site: Site) -> None:
    from controller.services.wallets import contract_sessions

    site.node.answers["eth_call"] = MAGIC
    browser = site.browser()
    text = browser.ask(ALICE)
    opened = browser.answer(text, signature="0x" + "22" * 65)
    assert opened.status_code == 200
    assert contract_sessions.recheck(site.deps) == 0
    site.clock.advance(contract_sessions.RECHECK_MS)
    assert contract_sessions.recheck(site.deps) == 1
    assert browser.get("/api/v1/me").status_code == 200
    site.clock.advance(2 * contract_sessions.RECHECK_MS)
    assert browser.get("/api/v1/me").status_code == 401  # nobody asked again
    assert contract_sessions.recheck(site.deps) == 1
    assert browser.get("/api/v1/me").status_code == 200
    site.node.answers["eth_call"] = "0x" + "0" * 64
    site.clock.advance(contract_sessions.RECHECK_MS)
    assert contract_sessions.recheck(site.deps) == 1
    assert browser.get("/api/v1/me").status_code == 401
    assert contract_sessions.recheck(site.deps) == 0
