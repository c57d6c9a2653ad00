"""Tags by which everything of a stack is known, found again, and paid for."""

from __future__ import annotations

from infra.stack_config import StackConfig


def tags(config: StackConfig, name: str) -> dict[str, str]:
    """The tags of one thing; `name` tells it from the others of its kind in the stack."""
    return {"Name": name, "axonos:instance": config.instance, "axonos:stack": config.stack}
