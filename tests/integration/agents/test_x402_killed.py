"""kill -9 of the whole controller between broadcast and receipt: real processes, a real database, a real chain.

What was paid is credited once, buys its session once, and costs gas once, whenever the block comes, whether the
node kept the transaction, and whoever comes back: with the payment's own key, by a signature, or with the token.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from agent_kit import (
    CENTS_10,
    KEY,
    KEY_HEADER,
    SIX_MINUTES,
    Platform,
    ask,
    deps_for,
    payment,
    settings_for,
)
from chainkit import Chain
from eth_account.signers.local import LocalAccount
from instant_sessions import HOST_KEY
from killed_kit import ROOT, Controller, eventually
from test_x402_clients import proof

from controller.adapters.database import PostgresDatabase
from controller.client.paying import Payer
from controller.services.hosts import registry as hosts

pytestmark = pytest.mark.integration


class Running:
    """The platform looked at from outside, and its controller."""

    def __init__(self, platform: Platform, controller: Controller) -> None:
        self.platform, self.controller, self.chain = platform, controller, platform.chain

    def broadcast(self) -> Any:
        """The settlement, once it is in the database and in the node's pool."""

        def found() -> Any:
            rows = self.platform.payments()
            return rows and self.chain.rpc("eth_getTransactionByHash", rows[0].tx_hash) and rows[0]

        row = eventually(found, self.controller.said)
        assert (row.state, self.chain.rpc("eth_getTransactionReceipt", row.tx_hash)) == ("signed", None)
        return row

    def settled(self) -> None:
        eventually(lambda: self.platform.payments()[0].state == "settled", self.controller.said)

    def session(self, headers: dict[str, str], **body: Any) -> dict[str, Any]:
        """The session that a request is answered with, once it runs."""

        def running() -> Any:
            answer = ask(self.platform, headers, **body)
            given = answer.json()
            assert answer.status_code in (200, 202), answer.text
            return given["session"] and given["session"]["state"] == "running" and given

        found: dict[str, Any] = eventually(running, self.controller.said)
        return found

    def sound(self, account: LocalAccount) -> None:
        """Once, whatever happened: one payment, one event, one session, one transaction's gas."""
        self.chain.mine(8)
        eventually(
            lambda: (
                [e.state in ("credited", "final") and not e.unwatched for e in self.platform.events()]
                == [True]
            ),
            self.controller.said,
        )
        (row,), (event,) = self.platform.payments(), self.platform.events()
        assert (row.state, event.tx_hash, event.credited_gpu_ms) == ("settled", row.tx_hash, SIX_MINUTES)
        assert self.platform.sessions() == 1
        assert 0 < self.platform.gpu_ms(account) <= SIX_MINUTES
        settler = self.platform.deps.settler
        assert settler is not None
        assert int(self.chain.rpc("eth_getTransactionCount", settler.sender, "latest"), 16) == 1
        assert self.platform.gas_spent() == int(row.gas_wei) > 0
        usdc = self.chain.usdc.functions.balanceOf(account.address).call()
        assert usdc == 20_000_000 - CENTS_10
        self.platform.sound()


@pytest.fixture
def running(anvil: Chain, database: PostgresDatabase, database_url: str, tmp_path: Path) -> Iterator[Running]:
    settings = settings_for(
        anvil,
        database_url,
        tmp_path,
        state_dir=str(tmp_path),
        playbooks_dir=str(ROOT / "playbooks"),
    )
    deps = deps_for(settings, database)
    gpus = [hosts.GpuSpec(f"SIM-{index}", "simulated") for index in range(8)]
    where = {"connection": "local", "address": "localhost", "gateway_url": "ws://localhost:1"}
    hosts.register(deps, "local", gpus=gpus, simulated=True, **where)
    controller = Controller(settings, tmp_path)
    controller.install(HOST_KEY)
    controller.start()
    try:
        yield Running(Platform(deps, anvil, None), controller)
    finally:
        controller.kill()
        deps.settler.close()  # type: ignore[union-attr]
        deps.chain.close()  # type: ignore[attr-defined]


def cut_off(running: Running, paid: dict[str, str]) -> None:
    """Send a payment, and kill everything once it is broadcast; the agent is left with a broken connection."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, running.platform, paid, wait_s=10)
        running.broadcast()
        running.controller.kill()
        with pytest.raises(requests.ConnectionError):
            asked.result()


def test_mined_while_all_is_down_and_asked_for_again_with_its_key(running: Running) -> None:
    account, chain = running.platform.agent(), running.chain
    paid = {**payment(running.platform, account), **KEY_HEADER}
    with chain.paused_mining():
        cut_off(running, paid)
        chain.rpc("evm_mine")
        running.controller.start()
    running.settled()
    assert running.platform.gpu_ms(account) == SIX_MINUTES, "credited before anybody comes back"
    given = running.session(paid)
    assert running.session(paid)["session"]["id"] == given["session"]["id"]
    running.sound(account)


def test_still_unmined_when_it_is_back_and_claimed_with_the_token(running: Running) -> None:
    account, chain = running.platform.agent(), running.chain
    paid = {**payment(running.platform, account), **KEY_HEADER}
    with chain.paused_mining():
        cut_off(running, paid)
        running.controller.start()
        # The worker sends what it finds open once more; that is the same transaction.
        eventually(lambda: running.platform.payments()[0].sent_at_ms, running.controller.said)
        waiting = ask(running.platform, paid)
        assert (waiting.status_code, waiting.json()["payment"]["state"]) == (202, "settling")
        chain.rpc("evm_mine")
    running.settled()
    token = {"Authorization": f"Bearer {waiting.json()['session_token']}"}
    running.session(token)
    running.sound(account)


def test_forgotten_by_the_node_and_claimed_by_a_signature(running: Running) -> None:
    """Written down, but in no pool any more: it is sent again. Without a key, signing for the credit will do."""
    account, chain = running.platform.agent(), running.chain
    paid = payment(running.platform, account)
    with chain.paused_mining():
        cut_off(running, paid)
        chain.rpc("anvil_dropTransaction", running.platform.payments()[0].tx_hash)
        running.controller.start()
        running.broadcast()
    chain.rpc("evm_mine")
    running.settled()
    refused = ask(running.platform, paid)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "payment_used"), refused.text
    given = ask(running.platform, {"SIGN-IN-WITH-X": proof(running.platform, account)}, wait_s=20)
    assert (given.status_code, given.json()["session"]["state"]) == (200, "running"), given.text
    running.sound(account)


def test_the_agent_of_this_package_sits_it_out(running: Running) -> None:
    """`axonos-agent --pay` asks again with the same payment under the same key until the site is back."""
    account, chain = running.platform.agent(), running.chain
    payer = Payer(running.platform.origin, account.key.to_0x_hex(), Decimal("0.10"))
    with ThreadPoolExecutor(1) as pool, payer, chain.paused_mining():
        asked = pool.submit(payer.claim, "small", ssh_key=KEY)
        row = running.broadcast()
        running.controller.kill()
        chain.rpc("evm_mine")
        running.controller.start()
        claimed = asked.result(timeout=90)
        eventually(lambda: (now := payer.current()) and now.state == "running", running.controller.said)
        assert payer.paid is not None
        assert payer.paid.transaction == row.tx_hash
        running.sound(account)
        assert payer.end(claimed.id).state in ("ending", "ended")
