"""A visitor with a fresh demo wallet: signs in, pays on the local chain, launches, looks, ends.

It knows the site's public HTTP API and nothing else; the key lives in this process only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct

from controller import rfb
from controller.errors import AxonosError

POLL_S = 0.1


class VisitFailed(AxonosError):
    """The site did not do what a visitor expects."""

    code = "visit_failed"


class Visitor:
    """One wallet in one browser session. Use as a context manager."""

    def __init__(self, origin: str) -> None:
        """Args: the site's origin, such as http://localhost:8080."""
        self.origin = origin
        self.account = Account.create()
        self._http = httpx.Client(base_url=origin, headers={"Origin": origin}, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def wallet(self) -> str:
        """The wallet's address, lower case."""
        return str(self.account.address).lower()

    def get(self, path: str) -> dict[str, Any]:
        """Read from the API; raises VisitFailed with the site's own words."""
        return self._answer(self._http.get(f"/api/v1/{path}"))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Change something by the API; raises VisitFailed with the site's own words."""
        return self._answer(self._http.post(f"/api/v1/{path}", json=body))

    def sign_in(self) -> None:
        """EIP-4361: the site writes the text, this wallet signs it."""
        text = self.post("sign-in/start", address=self.account.address)["message"]
        signature = self.account.sign_message(encode_defunct(text=text)).signature
        opened = self.post("sign-in", message=text, signature="0x" + signature.hex().removeprefix("0x"))
        self._http.headers["X-CSRF-Token"] = opened["csrf_token"]

    def take_play_money(self) -> None:
        """Local mode's faucet; returns once the play money has arrived."""
        self._answer(self._http.post("/local/faucet", json={"address": self.account.address}))
        self.wait(
            "the faucet's payment",
            lambda: int(self._rpc("eth_getBalance", self.wallet, "latest"), 16) > 0,
            30,
        )

    def pay_minimum(self, times: int = 1) -> str:
        """Send the ETH row's minimum to the revenue wallet, `times` over. Returns the transaction's hash."""
        rates, config = self.get("rates"), self.get("config")
        row = next(r for r in rates["rows"] if r["rail"] == "eth")
        chain = config["chain"]
        gas_price = int(self._rpc("eth_gasPrice"), 16)
        signed = self.account.sign_transaction(
            {
                "to": chain["revenue_wallet"],
                "value": int(row["minimum"]) * times,
                "gas": 21_000,
                "maxFeePerGas": gas_price * 2,
                "maxPriorityFeePerGas": min(gas_price, 1_000_000_000),
                "nonce": int(self._rpc("eth_getTransactionCount", self.wallet, "latest"), 16),
                "chainId": int(chain["id"]),
            }
        )
        return str(
            self._rpc("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x"))
        )

    def wait_credited(self, tx_hash: str, told: Callable[[str], None] = lambda _: None) -> int:
        """Wait until the watcher has credited a deposit, without any click. Returns GPU-milliseconds."""
        found: dict[str, Any] = {}
        heard = ""

        def credited() -> bool:
            nonlocal heard
            deposits = self.get("deposits")["deposits"]
            found.update(next((d for d in deposits if d["tx_hash"] == tx_hash), {}))
            if found:
                news = f"{found['state']}, {found['confirmations']} of {found['required']} confirmations"
                if news != heard:
                    told(news)
                heard = news
            return found.get("state") in {"credited", "final"}

        self.wait("the deposit's credit", credited, 60)
        return int(found["credited_gpu_ms"])

    def launch(self, profile: str = "small") -> str:
        """Claim a session. Returns its id."""
        return str(self.post("sessions", profile=profile, fresh_start=False)["id"])

    def wait_running(self, timeout_s: float = 90, look_again_s: float = POLL_S) -> dict[str, Any]:
        """Wait until the claimed session runs. Returns its view; raises VisitFailed if it ended instead."""
        seen: dict[str, Any] = {}

        def running() -> bool:
            answer = self.get("sessions/current")
            if answer["session"] is None:
                raise VisitFailed(f"The session did not start: {answer['saved'] or 'no reason given'}")
            seen.update(answer["session"])
            return bool(seen["state"] == "running")

        self.wait("the desktop's start", running, timeout_s, look_again_s)
        return seen

    async def look(self, session: str, screenshot: Path | None = None) -> None:
        """Open the stream through the gateway and wait until the desktop is painted."""
        self.post(f"sessions/{session}/attach")
        stream = self.post(f"sessions/{session}/stream")
        desktop = await rfb.open_stream(stream["gateway_url"], stream["ticket"], self.origin)
        async with desktop:
            await rfb.wait_painted(desktop)
            if screenshot:
                screenshot.parent.mkdir(parents=True, exist_ok=True)
                desktop.image().save(screenshot)

    def end(self, session: str) -> None:
        """End the session and wait until its GPUs are free again."""
        self.post(f"sessions/{session}/end")
        self.wait("the session's end", lambda: self.get("sessions/current")["session"] is None, 90)

    def wait(
        self, what: str, done: Callable[[], bool], timeout_s: float, look_again_s: float = POLL_S
    ) -> None:
        """Ask until `done`; raises VisitFailed after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                raise VisitFailed(f"Waited {timeout_s:.0f} s for {what}.")
            time.sleep(look_again_s)

    def _rpc(self, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._answer(self._http.post("/local/rpc", json=call))
        if "error" in answer:
            raise VisitFailed(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError as error:
            raise VisitFailed(f"{response.url.path} answered {response.status_code}, no JSON") from error
        if response.is_error:
            told = body.get("error", {})
            raise VisitFailed(f"{response.url.path}: {told.get('message', response.status_code)}")
        return dict(body)
