"""Errors of infra as the command line tells them: a message and a documented exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from infra.errors import InfraError, Interrupted, StackConfigInvalid
from infra.faults import FAILED, INTERRUPTED, REFUSED, UNAVAILABLE, Fault


@contextmanager
def explained(*, as_json: bool) -> Iterator[None]:
    """Turn an error into its message, or one JSON object, and the exit status."""
    try:
        yield
    except (InfraError, KeyboardInterrupt) as error:
        known = error if isinstance(error, InfraError) else Interrupted()
        told: dict[str, Any] = {"code": known.code, "message": known.message, "retry": known.retry}
        if as_json:
            click.echo(json.dumps({"ok": False, "error": told}))
        click.echo(f"axonos: {known.message}", err=True)
        raise SystemExit(_status(known)) from error


def _status(error: InfraError) -> int:
    if isinstance(error, Fault):
        return error.status
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, StackConfigInvalid):
        return REFUSED
    return UNAVAILABLE if error.code in {"stack_busy", "pulumi_cli_unavailable"} else FAILED
