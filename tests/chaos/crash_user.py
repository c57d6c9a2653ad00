"""A person at the site: signs in once, claims, looks, ends; by HTTP, and never surprised when nobody answers."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct


@dataclass
class User:
    """One wallet."""

    port: int
    number: int
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def __post_init__(self) -> None:
        self.account = Account.from_key(f"0x{self.number + 1:064x}")
        self.wallet = self.account.address.lower()

    def sign_in(self) -> None:
        message = self.ask("POST", "/api/v1/sign-in/start", {"address": self.account.address})["message"]
        signature = self.account.sign_message(encode_defunct(text=message)).signature.hex()
        self.csrf = self.ask(
            "POST", "/api/v1/sign-in", {"message": message, "signature": f"0x{signature.removeprefix('0x')}"}
        )["csrf_token"]

    def claim(self, profile: str = "small") -> Any:
        return self.ask("POST", "/api/v1/sessions", {"profile": profile})

    def current(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.ask("GET", "/api/v1/sessions/current")["session"]
        return found

    def detach(self, session: str) -> Any:
        return self.ask("POST", f"/api/v1/sessions/{session}/detach", {})

    def end(self, session: str) -> Any:
        return self.ask("POST", f"/api/v1/sessions/{session}/end", {})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request; raises OSError when nobody answers, ValueError with the answer's error word."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        headers = {
            "Host": f"localhost:{self.port}", "Origin": f"http://localhost:{self.port}",
            "Content-Type": "application/json", "X-CSRF-Token": self.csrf,
            "X-Forwarded-For": f"10.9.{self.number // 250}.{self.number % 250 + 1}",
            "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()),
        }  # fmt: skip
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = json.loads(answer.read() or b"{}")
        except (http.client.HTTPException, ValueError) as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.status >= 500:
            raise ConnectionError(str(data))
        if answer.status >= 400:
            raise ValueError(str(data))
        return data
