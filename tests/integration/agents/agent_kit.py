"""Agents and the platform they pay: a real chain, real PostgreSQL, the site served, desktops that start at once."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests
from chainkit import Chain, free_port, node_folder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from eth_account import Account
from eth_account.signers.local import LocalAccount
from fakes import make_settings
from instant_sessions import InstantSessions
from sqlalchemy import text
from sqlmodel import select
from werkzeug.serving import make_server
from x402 import x402ClientSync
from x402.http.clients import x402_requests
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner

from controller.adapters import wiring
from controller.adapters.clock import SystemClock
from controller.adapters.sign_in import SiweVerifier
from controller.app import create_app
from controller.models import MoneyEvent, OperatorAlert, X402Payment
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.hosts import registry as hosts
from controller.services.money import ledger
from controller.services.queue import placing
from controller.services.reports import guard_reports
from controller.services.runs import orders as runs
from controller.services.runs import work as run_work
from controller.settings import Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUVjD6Bf7R6XkZ7cqxk5TtqR7o6gq1m0Jd0pTq2b3cV agent"
CENTS_10, DOLLAR = 100_000, 1_000_000
SIX_MINUTES = 360_000  # GPU-milliseconds for ten cents
KEY_HEADER = {"Idempotency-Key": "an-agents-own-secret-1"}


def settings_for(chain: Chain, database_url: str, folder: Path, /, **sections: Any) -> Settings:
    """Production mode on a free loopback port, with the chain's own addresses and a settlement key of its own."""
    made, port = chain.deployment, free_port()
    settlement = chain.new_account()
    for name in ("web_key", "guard_token"):
        (folder / name).write_text(f"content of {name}")
    (folder / "ticket").write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (folder / "settlement_key").write_text(settlement.key.to_0x_hex())
    files = {"web_key": "web_key", "ticket_private_key": "ticket", "guard_token": "guard_token"}
    x402 = {"settlement_key": str(folder / "settlement_key"), "receipt_wait_s": 5, **sections.pop("x402", {})}
    return make_settings(
        database_url,
        web={"origin": f"http://localhost:{port}", "port": port, **sections.pop("web", {})},
        chain={
            "rpc_urls": [chain.rpc_url],
            "genesis_hash": made.genesis_hash,
            "start_block": chain.rpc.head() + 1,
            "revenue_wallet": made.revenue_wallet,
            **sections.pop("chain", {}),
        },
        eth={"usd_feed": made.eth_usd_feed},
        axgt={"contract": made.axgt},
        usdc={"contract": made.usdc, "usd_feed": made.usdc_usd_feed},
        secrets={name: str(folder / file) for name, file in files.items()},
        novnc_dir=node_folder() / "node_modules" / "@novnc" / "novnc",
        x402=x402,
        **sections,
    )


def deps_for(settings: Settings, database: Any) -> Deps:
    """The real ports, on a test's own database."""
    made = wiring.make_deps(settings)
    made.database.engine.dispose()  # type: ignore[attr-defined]
    clock, nodes = SystemClock(), {chain.chain_id: chain.rpc_urls for chain in settings.chains}
    # The verifier's own clock would open the first database again.
    return replace(made, database=database, clock=clock, sign_in=SiweVerifier(clock, nodes))


@dataclass
class Platform:
    """A platform that is up, and what a test looks at."""

    deps: Deps
    chain: Chain
    app: Any
    shells: InstantSessions = field(default_factory=InstantSessions)
    faults: list[Exception] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return self.deps.settings.web.origin

    @property
    def url(self) -> str:
        return self.origin + "/api/x402/session"

    def work(self) -> None:
        """What worker and guard do in a moment; the chain is left alone."""
        placing.promote(self.deps)
        while taken := runs.take(self.deps, "test"):
            run_work.work(self.deps, self.shells, taken)
        now_ms = self.deps.clock.now_ms()
        guard_reports.report(self.deps, {"host": "local", "at_ms": now_ms, "slots": self.shells.seen()})

    def watch(self) -> None:
        while deposits.watch_once(self.deps):
            pass

    def agent(self, usdc: int = 20 * DOLLAR) -> LocalAccount:
        """A wallet with USDC and no ETH at all."""
        account: LocalAccount = Account.create()
        if usdc:
            self.chain.mint_usdc(account.address, usdc)
        return account

    def gpu_ms(self, account: LocalAccount) -> int:
        with self.deps.database.begin() as db:
            return ledger.balance(db, account.address.lower()).gpu_ms

    def payments(self) -> list[X402Payment]:
        with self.deps.database.begin() as db:
            return list(db.exec(select(X402Payment).order_by(X402Payment.id)))

    def events(self) -> list[MoneyEvent]:
        with self.deps.database.begin() as db:
            return list(db.exec(select(MoneyEvent).order_by(MoneyEvent.id)))

    def alerts(self) -> set[tuple[str, str]]:
        with self.deps.database.begin() as db:
            rows = db.exec(select(OperatorAlert).where(OperatorAlert.cleared_at_ms.is_(None)))
            return {(row.kind, row.subject) for row in rows}

    def sessions(self) -> int:
        with self.deps.database.begin() as db:
            return int(db.execute(text("SELECT count(*) FROM gpu_session")).scalar_one())

    def gas_spent(self) -> int:
        """Wei that the settlement account has paid so far."""
        assert self.deps.settler is not None
        return 1000 * 10**18 - int(self.chain.rpc("eth_getBalance", self.deps.settler.sender, "latest"), 16)

    def terms(self, **body: Any) -> dict[str, Any]:
        """What a 402 offers, as version 2 tells it."""
        answer = requests.post(self.url, json=body or {"profile": "small", "ssh_key": KEY}, timeout=30)
        assert answer.status_code == 402, answer.text
        found: dict[str, Any] = json.loads(base64.b64decode(answer.headers["PAYMENT-REQUIRED"]))
        return found

    def sound(self) -> None:
        assert ledger.audit(self.deps) == []


def client(account: LocalAccount, limit: str | None = None) -> requests.Session:
    """The stock client of the x402 package."""
    made = x402ClientSync()
    register_exact_evm_client(made, EthAccountSigner(account))
    if limit:
        made.set_spend_controls({"max_amount_per_payment": limit})
    return x402_requests(made)


def payment(
    platform: Platform, account: LocalAccount, amount: int = CENTS_10, version: int = 2, **changes: Any
) -> dict[str, str]:
    """Headers that pay; `changes` go into the authorization before (`signed`) or `after` it is signed."""
    rail, where = platform.deps.settings, platform.chain.deployment
    now_s = int(time.time())
    signed = {
        "from": account.address,
        "to": where.revenue_wallet,
        "value": str(amount),
        "validAfter": "0",
        "validBefore": str(now_s + 120),
        "nonce": "0x" + secrets.token_hex(32),
        **changes.pop("signed", {}),
    }
    words = {
        "domain": {
            "name": "USDC",
            "version": "2",
            "chainId": where.chain_id,
            "verifyingContract": where.usdc,
            **changes.pop("domain", {}),
        },
        "types": {
            "TransferWithAuthorization": [
                {"name": "from", "type": "address"},
                {"name": "to", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "validAfter", "type": "uint256"},
                {"name": "validBefore", "type": "uint256"},
                {"name": "nonce", "type": "bytes32"},
            ]
        },
        "primaryType": "TransferWithAuthorization",
        "message": {
            **signed,
            **{n: int(signed[n]) for n in ("value", "validAfter", "validBefore")},
            "nonce": bytes.fromhex(signed["nonce"][2:]),
        },
    }
    signature = account.sign_typed_data(
        domain_data=words["domain"], message_types=words["types"], message_data=words["message"]
    ).signature.to_0x_hex()
    inner = {"signature": signature, "authorization": {**signed, **changes.pop("after", {})}}
    accepted = {
        "scheme": "exact",
        "network": f"eip155:{where.chain_id}",
        "amount": str(amount),
        "asset": rail.usdc.contract,
        "payTo": where.revenue_wallet,
        "maxTimeoutSeconds": 120,
        "extra": {"name": "USDC", "version": "2"},
        **changes.pop("accepted", {}),
    }
    payload = (
        {"x402Version": 2, "accepted": accepted, "payload": inner}
        if version == 2
        else {"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "payload": inner}
    )
    header = base64.b64encode(json.dumps({**payload, **changes}).encode()).decode()
    return {"PAYMENT-SIGNATURE" if version == 2 else "X-PAYMENT": header}


def ask(platform: Platform, headers: dict[str, str] | None = None, **body: Any) -> requests.Response:
    """POST /api/x402/session."""
    asked = {"profile": "small", "ssh_key": KEY, "wait_s": 0, **body}
    return requests.post(platform.url, json=asked, headers=headers, timeout=60)


def reason(answer: requests.Response) -> str:
    """Why a payment was not taken, as both versions of the protocol tell it."""
    assert answer.status_code == 402, answer.text
    told: dict[str, Any] = json.loads(base64.b64decode(answer.headers["PAYMENT-REQUIRED"]))
    assert told["error"] == answer.json()["error"]
    return str(told["error"])


def wait_for(found: Callable[[], Any]) -> Any:
    """What is found, once it is there."""
    end_s = time.monotonic() + 10
    while not (value := found()):
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.01)
    return value


@contextmanager
def platform_running(deps: Deps, chain: Chain, *, gpus: int = 8) -> Iterator[Platform]:
    """Serve the site, with a worker that starts shells; a fault of the work fails the test."""
    specs = [hosts.GpuSpec(f"SIM-{index}", "simulated") for index in range(gpus)]
    hosts.register(
        deps,
        "local",
        connection="local",
        address="localhost",
        gateway_url="ws://localhost:1",
        gpus=specs,
        simulated=True,
    )
    app = create_app(deps)
    platform = Platform(deps, chain, app)
    server = make_server("127.0.0.1", deps.settings.web.port, app, threaded=True)
    server.daemon_threads = False  # so that closing the server waits for requests on their way
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            try:
                platform.work()
            except Exception as error:  # noqa: BLE001  (shown by the test, at its end)
                platform.faults.append(error)
                return

    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        yield platform
    finally:
        over.set()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
    assert platform.faults == []
