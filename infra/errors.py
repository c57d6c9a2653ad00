"""Errors of the infrastructure. The class docstring is what the operator reads, `code` the stable word.

The controller has its own tree: the two never import each other.
"""

from __future__ import annotations

from typing import ClassVar


class InfraError(Exception):
    """The infrastructure could not be brought to the wanted state."""

    code: ClassVar[str] = "infra_error"
    retry: ClassVar[bool] = False
    to_do: ClassVar[str] = "Mend that, then run it again: it continues. `axonos doctor` looks at every part."

    def __init__(self, message: str | None = None) -> None:
        """Args: a message instead of the docstring."""
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)

    def advice(self) -> str:
        """The reader's next step, where the message does not say it already."""
        return f"\n  What to do: {self.to_do}" if self.to_do else ""


class StackConfigInvalid(InfraError):
    """The stack's configuration has problems; nothing was changed."""

    code = "stack_config_invalid"
    to_do = "Correct that, then run it again."


class CliUnavailable(InfraError):
    """The Pulumi CLI could be neither found, downloaded nor built."""

    code = "pulumi_cli_unavailable"
    retry = True
    to_do = "Check the network, or put a `pulumi` on PATH; then run it again: a broken-off build continues."


class StateUnreachable(InfraError):
    """The database that keeps the stacks' state does not answer. Nothing was changed."""

    code = "state_unreachable"
    retry = True
    to_do = "Start it, or correct the URL in the file that `state_url_file` names; then run it again."


class SdkMissing(InfraError):
    """A Python package that this kind of stack needs is not installed."""

    code = "sdk_missing"
    to_do = "Install them: STATE/venv/bin/pip install 'pulumi-aws>=7.51' 'boto3>=1.40', then run it again."


class StackBusy(InfraError):
    """Another program is changing this stack. Try again when it has finished."""

    code = "stack_busy"
    retry = True
    to_do = ""


class Interrupted(InfraError):
    """Interrupted. What was finished is recorded; the next run continues from there."""

    code = "interrupted"
    retry = True
    to_do = ""


class PolicyRefused(InfraError):
    """The plan is against the stack's rules; nothing was changed."""

    code = "policy_refused"
    to_do = "Change the stack's configuration so that the plan keeps to the rules, then run it again."


class ImageRefused(InfraError):
    """The image archive does not hold the image that was asked for."""

    code = "image_refused"
