"""Errors of the infrastructure. The class docstring is what the operator reads, `code` the stable word.

The controller has its own tree: the two never import each other.
"""

from __future__ import annotations

from typing import ClassVar


class InfraError(Exception):
    """The infrastructure could not be brought to the wanted state."""

    code: ClassVar[str] = "infra_error"
    retry: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        """Args: a message instead of the docstring."""
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


class StackConfigInvalid(InfraError):
    """The stack's configuration has problems; nothing was changed."""

    code = "stack_config_invalid"


class CliUnavailable(InfraError):
    """The Pulumi CLI could be neither found, downloaded nor built."""

    code = "pulumi_cli_unavailable"
    retry = True


class StackBusy(InfraError):
    """Another program is changing this stack. Try again when it has finished."""

    code = "stack_busy"
    retry = True


class Interrupted(InfraError):
    """Interrupted. What was finished is recorded; the next run continues from there."""

    code = "interrupted"
    retry = True


class ImageRefused(InfraError):
    """The image archive does not hold the image that was asked for."""

    code = "image_refused"
