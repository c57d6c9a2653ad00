"""How the bundled AWS provider talks to EC2: patient with throttling, never making a thing twice.

A thing is known by its tags `Name`, `axonos:instance` and `axonos:stack`, which it gets in the request that
makes it. Before a request is sent or repeated, a living thing with those tags is looked for, so neither a
lost answer nor a killed run leaves an orphan.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from infra.providers.protocol import Properties

IDENTITY = ("Name", "axonos:instance", "axonos:stack")
ATTEMPTS = 8
SLOWEST_PAUSE_S = 20.0
_BUSY = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
        "InternalServerError",
        "502",
        "503",
        "504",
    }
)
_ADVICE = {
    "UnauthorizedOperation": "these credentials may not do that: extend their policy",
    "AuthFailure": "AWS does not accept these credentials: check profile or environment",
    "InsufficientInstanceCapacity": "the zone has no such machine free now: try later, or elsewhere",
    "VcpuLimitExceeded": "the account's limit is reached: ask AWS for a higher one",
    "InstanceLimitExceeded": "the account's limit is reached: ask AWS for a higher one",
    "VolumeInUse": "something still uses the volume: end that first",
    "DependencyViolation": "something still uses it: remove that first",
    "InvalidAMIID.NotFound": "there is no such image in this region: correct `ami`",
}


class Refused(Exception):
    """What we do not do, said to the operator."""


class Cloud:
    """One region's EC2."""

    def __init__(
        self, region: str, endpoint: str | None = None, *, pause: Callable[[float], None] | None = None
    ) -> None:
        """Args: the region; another service that speaks EC2's language; how to wait some seconds."""
        self.cancelled = threading.Event()
        self._pause = pause or (lambda seconds: _discard(self.cancelled.wait(seconds)))
        # Reading may be repeated blindly; what makes a thing is repeated by `once` alone.
        self.ec2 = _client(region, endpoint, ATTEMPTS)
        self._single = _client(region, endpoint, 1)

    def once(
        self, existing: Callable[[], str | None], operation: str, request: Properties, token: str
    ) -> Any:
        """Make a thing, or find the one that a broken-off request made.

        Args:
            existing: looks for the thing; its ID, or None.
            operation: the client's method that makes it.
            request: its arguments.
            token: for operations that take one; the same for every repetition.

        Returns:
            The ID of what is there already, or the answer of the request that made it.
        """
        arguments = {**request, **({"ClientToken": token} if token else {})}
        for attempt in range(1, ATTEMPTS + 1):
            if found := existing():
                return found
            try:
                return getattr(self._single, operation)(**arguments)
            except (ClientError, BotoCoreError) as error:
                if attempt == ATTEMPTS or not passing(error):
                    raise
            self._pause(min(SLOWEST_PAUSE_S, 0.5 * 2 ** (attempt - 1)))
            if self.cancelled.is_set():
                raise Refused("interrupted; run it again, it continues")
        raise AssertionError("the loop returns or raises")

    def until(self, done: Callable[[], bool], *, limit_s: float, what: str) -> None:
        """Wait until something is so. An interruption ends the waiting, the next run continues.

        Raises:
            Refused: it took too long, or was interrupted.
        """
        ends = time.monotonic() + limit_s
        pause_s = 0.2
        while not done():
            if self.cancelled.is_set():
                raise Refused(f"interrupted while waiting until {what}; run it again, it continues")
            if time.monotonic() > ends:
                raise Refused(f"after {limit_s:.0f} s it is still not so that {what}; run it again")
            self._pause(pause_s)
            pause_s = min(5.0, pause_s * 1.5)

    def retag(self, id_: str, wanted: dict[str, str], real: dict[str, str]) -> None:
        """Bring a thing's tags to the wanted ones."""
        gone = [{"Key": key} for key in real if key not in wanted and not key.startswith("aws:")]
        new = {key: value for key, value in wanted.items() if real.get(key) != value}
        if gone:
            self.ec2.delete_tags(Resources=[id_], Tags=gone)
        if new:
            self.ec2.create_tags(Resources=[id_], Tags=tag_list(new))


def _discard(_: object) -> None:
    return None


def _client(region: str, endpoint: str | None, attempts: int) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=60,
        user_agent_extra="axonos",
    )
    return boto3.client("ec2", region_name=region, endpoint_url=endpoint, config=config)


def passing(error: Exception) -> bool:
    """Whether an error may be gone in a moment."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"]["Code"] in _BUSY or status >= 500
    return not isinstance(error, NoCredentialsError | PartialCredentialsError)


def code_of(error: Exception) -> str:
    """AWS's word for an error; empty for another kind of error."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def explain(error: Exception) -> str:
    """An error as a sentence with the next step."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "no AWS credentials were found: set AWS_PROFILE, or run on a machine with a role"
    if not isinstance(error, ClientError):
        return str(error)
    code, said = code_of(error), error.response["Error"].get("Message", "")
    busy = "AWS was busy all the time: nothing is lost, run it again" if code in _BUSY else ""
    advice = _ADVICE.get(code) or busy
    return f"{error.operation_name}: {said or code} ({code})" + (f"; {advice}" if advice else "")


def identity(tags: dict[str, str]) -> list[dict[str, Any]]:
    """The filter that finds a thing by the tags it is known by.

    Raises:
        Refused: it lacks one, so it could not be told from another.
    """
    missing = [name for name in IDENTITY if not tags.get(name)]
    if missing:
        raise Refused(f"it needs the tags {', '.join(missing)} to be found again")
    return [{"Name": f"tag:{name}", "Values": [tags[name]]} for name in IDENTITY]


def token(urn: str, seed: str) -> str:
    """A client token for one making of one resource."""
    return hashlib.sha256(f"{urn}\0{seed}".encode()).hexdigest()[:48]


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_map(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags as Pulumi has them; AWS's own are left out."""
    return {tag["Key"]: tag["Value"] for tag in tags or [] if not tag["Key"].startswith("aws:")}
