"""Starts that failed: what people are told, which hosts a claim leaves alone meanwhile, when to give up."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session

MAX_PLACES = 3  # starts of one claim, on whichever hosts
REST_MS = 20_000  # longer than a silent host takes to be called lost
SENTENCES = {
    "abandoned": "the start broke off several times",
    "disk_full": "the GPU host's disk is full",
    "gpu_busy": "a GPU was still in use",
    "home_broken_off": "your files could not be brought to the GPU host",
    "home_fenced": "your files are being brought to another GPU host",
    "home_missing": "your files are not where they should be; the operator has been told",
    "home_unmovable": "your files cannot be brought to another GPU host",
    "host_unreachable": "the GPU host could not be reached",
    "image_missing": "the desktop image is missing on the GPU host",
    "no_answer": "the shell did not answer in time",
    "not_painted": "the desktop did not appear in time",
    "timeout": "the desktop took too long to start",
    "volume_busy": "your files are still in use by an earlier desktop",
}

_FAILED = text(
    """
    SELECT session_id, host, finished_at_ms, error_code FROM run
    WHERE session_id = ANY(:ids) AND playbook IN ('session_start.yml', 'home_move.yml') AND state = 'failed'
      AND error_code <> 'called_off'
    ORDER BY finished_at_ms
    """
)


@dataclass(frozen=True)
class Rest:
    """Hosts that failed a claim a moment ago, and what its owner reads meanwhile."""

    hosts: frozenset[str]
    why: str


def sentence(error: str) -> str:
    """What a failed start's word means, for the person who waits."""
    return SENTENCES.get(error, "the desktop could not be started")


def count(db: Session, session_id: str) -> int:
    """How many starts of a claim have failed."""
    return len(db.connection().execute(_FAILED, {"ids": [session_id]}).all())


def resting(db: Session, session_ids: list[str], now_ms: int) -> dict[str, Rest]:
    """For each claim whose start failed lately, which hosts it is not given right now."""
    rests: dict[str, Rest] = {}
    for row in db.connection().execute(_FAILED, {"ids": session_ids}):
        if row.finished_at_ms > now_ms - REST_MS:
            before = rests.get(row.session_id, Rest(frozenset(), ""))
            rests[row.session_id] = Rest(before.hosts | {row.host}, again(row.error_code))
    return rests


def again(error: str) -> str:
    """The reason shown while a claim waits for its next start."""
    return f"{sentence(error)}; another start follows"
