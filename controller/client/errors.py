"""What can go wrong for a client; `code`, `message` and `retry` are the site's own words."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Something went wrong."""

    code = "client_error"

    def __init__(self, message: str | None = None) -> None:
        """Args: a message instead of the docstring."""
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class ApiError(ClientError):
    """The site refused a request."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        """Args: the HTTP status, and what stood under `error`."""
        super().__init__(str(error.get("message", f"The site answered with status {status}.")))
        self.status, self.detail = status, error
        self.code = str(error.get("code", "unknown"))
        self.retry = bool(error.get("retry", False))


class PaymentRefused(ApiError):
    """The site did not take the payment; no money moved."""

    def __init__(self, reason: str) -> None:
        """Args: why, in the protocol's words or in ours."""
        told = {"code": "payment_refused", "message": f"No payment was made: {reason}", "reason": reason}
        super().__init__(402, told)


class Unreachable(ClientError):
    """The site does not answer. Check its address and try again."""

    code = "unreachable"


class NotReady(ClientError):
    """The shell did not come up in time; its session was ended."""

    code = "not_ready"


class ShellFailed(ClientError):
    """The shell could not be reached, or a file could not be fetched from it."""

    code = "shell_failed"
