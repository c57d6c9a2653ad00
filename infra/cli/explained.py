"""Errors of infra as the command line tells them: a message and a documented exit status."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from infra.errors import InfraError, Interrupted, PolicyRefused, StackConfigInvalid
from infra.faults import FAILED, INTERRUPTED, REFUSED, UNAVAILABLE, Fault


@contextmanager
def explained(*, as_json: bool) -> Iterator[None]:
    """Turn an error into its message, or one JSON object, and the exit status."""
    try:
        yield
    except (InfraError, KeyboardInterrupt, OSError) as error:
        known = _known(error)
        message = known.message + known.advice()
        told: dict[str, Any] = {"code": known.code, "message": message, "retry": known.retry}
        if as_json:
            click.echo(json.dumps({"ok": False, "error": told}))
        click.echo(f"axonos: {message}", err=True)
        raise SystemExit(_status(known)) from error


def _known(error: BaseException) -> InfraError:
    """What this machine refuses in the middle of a stage is told like everything else."""
    if isinstance(error, InfraError):
        return error
    if not isinstance(error, OSError):
        return Interrupted()
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Fault(f"The disk is full: {error}", "Free some space, then run it again: it continues.")
    return Fault(str(error), "Mend that, then run it again: it continues.")


def _status(error: InfraError) -> int:
    if isinstance(error, Fault):
        return error.status
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, StackConfigInvalid | PolicyRefused):
        return REFUSED
    return UNAVAILABLE if error.code in {"stack_busy", "pulumi_cli_unavailable"} else FAILED
