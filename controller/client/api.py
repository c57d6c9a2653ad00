"""The API over HTTP: who asks (an API token, or a wallet's key), requests, and what they come back with."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx

from controller.client import answers
from controller.client.errors import ApiError, Unreachable

TIMEOUT_S: Final = 30.0
TRIES: Final = 3
LONGEST_WAIT_S: Final = 60


class Axonos:
    """The site, for one wallet. Use `with_token` or `with_wallet_key`, and close it or use it in `with`."""

    def __init__(
        self,
        origin: str,
        headers: dict[str, str],
        *,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a client.

        Args:
            origin: the site's one origin, such as `https://gpu.example.org`.
            headers: what goes with every request.
            transport: httpx's own by default.
            pause: how to wait some seconds.
        """
        self.origin, self.pause = origin.rstrip("/"), pause
        self._http = httpx.Client(
            base_url=self.origin, headers=headers, timeout=TIMEOUT_S, transport=transport
        )

    @classmethod
    def with_token(cls, origin: str, token: str) -> Axonos:
        """Ask with an API token, made on the site's page `/tokens`."""
        return cls(origin, {"Authorization": f"Bearer {token.strip()}"})

    @classmethod
    def with_wallet_key(cls, origin: str, private_key: str) -> Axonos:
        """Sign in with a wallet's private key (EIP-4361), as a browser's wallet does.

        Raises:
            ApiError: the site refused it.
            Unreachable: the site does not answer.
        """
        from eth_account import Account  # noqa: PLC0415 (slow to import, and only this way in needs it)
        from eth_account.messages import encode_defunct  # noqa: PLC0415

        made = cls(origin, {"Origin": origin.rstrip("/")})
        account = Account.from_key(private_key.strip())
        message = made.post("/api/v1/sign-in/start", address=account.address)["message"]
        signature = "0x" + account.sign_message(encode_defunct(text=message)).signature.hex()
        opened = made.post("/api/v1/sign-in", message=message, signature=signature)
        made._http.headers["X-CSRF-Token"] = opened["csrf_token"]
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def me(self) -> answers.Me:
        """Who asks, and the balance."""
        return answers.me(self.get("/api/v1/me"))

    def claim(
        self, profile: str, *, kind: str = "ssh", ssh_key: str | None = None, gpu_model: str = ""
    ) -> answers.Session:
        """Claim a session: it starts at once, or takes a place in the queue.

        Args:
            profile: small, medium, large or max.
            kind: `ssh` for a shell, or `desktop`.
            ssh_key: for a shell, the public key that may log in; the wallet's key list by default.
            gpu_model: only on GPUs of this model; any by default.
        """
        more: dict[str, Any] = {"gpu_model": gpu_model} if gpu_model else {}
        return answers.session(
            self.post("/api/v1/sessions", profile=profile, kind=kind, ssh_key=ssh_key, **more)
        )

    def current(self) -> answers.Session | None:
        """The live session, or None."""
        found = self.get("/api/v1/sessions/current")["session"]
        return answers.session(found) if found else None

    def end(self, session_id: str) -> answers.Session:
        """End a session, or leave the queue; files stay. Asking again changes nothing."""
        return answers.session(self.post(f"/api/v1/sessions/{session_id}/end", again=True))

    def get(self, path: str) -> Any:
        """Any route that is read."""
        return self.send("GET", path, again=True).json()

    def post(self, path: str, *, again: bool = False, **body: Any) -> Any:
        """Any route that changes something; `again`: it may be sent twice."""
        return self.send("POST", path, body, again=again).json()

    def send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        again: bool = False,
        tries: int = TRIES,
        expected: tuple[int, ...] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> httpx.Response:
        """One request with its answer.

        Args:
            method: GET or POST.
            path: from the site's origin.
            body: a JSON object.
            headers: more of them.
            again: it may be sent twice.
            tries: how often at most, where it may.
            expected: statuses that are an answer, no refusal.
            timeout_s: how long the site may be silent.

        Raises:
            ApiError: the site refused it.
            Unreachable: the site does not answer.
        """
        for left in reversed(range(tries if again else 1)):
            try:
                answer = self._http.request(method, path, json=body, headers=headers, timeout=timeout_s)
            except httpx.TransportError as error:
                if not left:
                    raise Unreachable(f"{self.origin} does not answer: {error}") from error
                self.pause(1)
                continue
            if answer.is_success or answer.status_code in expected:
                return answer
            refused = ApiError(answer.status_code, _error_of(answer))
            if not left or not refused.retry:
                raise refused
            self.pause(min(int(refused.detail.get("retry_after_s", 1)), LONGEST_WAIT_S))
        raise AssertionError("unreachable: the last try returns or raises")


def _error_of(answer: httpx.Response) -> dict[str, Any]:
    """What the site said; a proxy before it may speak otherwise."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, dict) else {}
