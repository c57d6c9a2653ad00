"""What stops `axonos up`, said so that the reader can act. Standard library only: the first stage uses it."""

from __future__ import annotations

from infra.errors import InfraError

FAILED = 1
REFUSED = 3
UNAVAILABLE = 4
INTERRUPTED = 130


class Fault(InfraError):
    """Something this machine cannot give."""

    code = "fault"
    to_do = ""  # each says its own

    def __init__(self, what: str, to_do: str, status: int = FAILED) -> None:
        """Args: what is wrong, the reader's next step, the program's exit status."""
        super().__init__(f"{what}\n  What to do: {to_do}")
        self.what, self.status = what, status
