"""The roots of the error tree: refused, unavailable, or a fault."""

from __future__ import annotations

from typing import Any, ClassVar


class AxonosError(Exception):
    """Something went wrong. Try again; if it stays, tell the operator."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retry: ClassVar[bool] = False

    def __init__(self, message: str | None = None, **detail: Any) -> None:
        """Args: a message instead of the docstring; `detail` goes to the API as it is."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.detail = detail
        super().__init__(self.message)


class Refused(AxonosError):
    """The request cannot be taken."""

    code = "refused"
    status = 400


class BadInput(Refused):
    """A field is missing or has the wrong form."""

    code = "bad_input"


class Unavailable(AxonosError):
    """A part of the platform cannot be reached right now. Try again in a moment."""

    code = "unavailable"
    status = 503
    retry = True
