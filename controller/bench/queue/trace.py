"""Replays a given trace of claims through production's planner, and writes down everything it decided.

Both files are JSON, times in minutes, balances in GPU-minutes. Trace: `{"name", "hosts": [GPUs per host],
"claims": [{"id", "at", "gpus", "use", "balance", "topups": [{"after_start" or "at", "gpu_minutes"}],
"cancel_at"}]}`. Schedule: `{"name", "sessions": [{"claim", "start", "end", "host", "gpus",
"guaranteed_until", "cut_for"}], "promises": [{"claim", "given", "latest"}], "reasons": [{"claim", "host",
"from", "to", "kind", "for"}]}`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from controller.bench.queue.policies import Promise
from controller.bench.queue.schedule import Schedule
from controller.bench.queue.workload import MINUTE_MS, Request, TopUp
from controller.bench.queue.world import World
from controller.domain.planner import Policy
from controller.errors import BadInput


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _TopUp(_Part):
    gpu_minutes: float = Field(gt=0)
    after_start: float | None = Field(default=None, ge=0)
    at: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_instant(self) -> _TopUp:
        if (self.after_start is None) == (self.at is None):
            raise ValueError("a top-up has either after_start or at")
        return self


class _Claim(_Part):
    id: str = Field(min_length=1)
    at: float = Field(ge=0)
    gpus: int = Field(gt=0)
    use: float = Field(gt=0)
    balance: float = Field(gt=0)
    topups: list[_TopUp] = []
    cancel_at: float | None = None


class _Trace(_Part):
    name: str
    hosts: list[int] = Field(min_length=1)
    claims: list[_Claim]

    @model_validator(mode="after")
    def _claims_are_distinct(self) -> _Trace:
        if len({claim.id for claim in self.claims}) != len(self.claims):
            raise ValueError("two claims have one id")
        return self


def replay(content: str, policy: Policy) -> dict[str, Any]:
    """The schedule production's planner makes of a trace.

    Args:
        content: the trace, as JSON text.
        policy: the planner's settings.

    Raises:
        BadInput: the text is no trace; the message lists all problems.
    """
    try:
        trace = _Trace.model_validate_json(content)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'trace'}: {e['msg']}" for e in error.errors()]
        raise BadInput("This is no trace: " + "; ".join(lines), field="trace") from error
    world = World({str(n): gpus for n, gpus in enumerate(trace.hosts)}, Promise(policy), Schedule(True))
    schedule = world.run(sorted(map(_request, trace.claims), key=lambda request: request.at_ms))
    schedule.reserved(world.now, {})
    return _written(trace.name, schedule)


def _request(claim: _Claim) -> Request:
    top_ups = tuple(
        TopUp(
            _ms(top_up.at if top_up.after_start is None else top_up.after_start),
            _ms(top_up.gpu_minutes / claim.gpus),
            absolute=top_up.after_start is None,
        )
        for top_up in claim.topups
    )
    cancel = None if claim.cancel_at is None else _ms(claim.cancel_at)
    paid = _ms(claim.balance / claim.gpus)
    return Request(claim.id, _ms(claim.at), claim.gpus, _ms(claim.use), paid, top_ups, cancel)


def _written(name: str, schedule: Schedule) -> dict[str, Any]:
    return {
        "name": name,
        "sessions": [
            {
                "claim": stay.claim,
                "start": _min(stay.start_ms),
                "end": _min(stay.end_ms),
                "host": int(stay.host),
                "gpus": [int(gpu.rpartition("/")[2]) for gpu in stay.gpus],
                "guaranteed_until": _min(stay.guaranteed_until_ms),
                "cut_for": stay.cut_for,
            }
            for stay in schedule.stays.values()
        ],
        "promises": [
            {"claim": claim, "given": _min(promise.given_ms), "latest": _min(promise.latest_ms)}
            for claim, promise in schedule.promises.items()
        ],
        "reasons": [
            {
                "claim": reason.claim,
                "host": int(reason.host),
                "from": _min(reason.from_ms),
                "to": _min(reason.to_ms),
                "kind": reason.kind,
                "for": list(reason.claims),
            }
            for reason in schedule.reasons
        ],
    }


def _ms(minutes: float | None) -> int:
    return round((minutes or 0) * MINUTE_MS)


def _min(instant: int | None) -> float | None:
    return None if instant is None else instant / MINUTE_MS
