"""What pages, API and command line see of profiles and sessions. Plain values: no rows, no rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProfileView:
    """One line of the profile picker. `lasts_minutes` is None for a visitor without a wallet.

    `waiting`: how many desktops of this size are painted already, so that a start takes a moment only.
    """

    name: str
    title: str
    gpus: int
    burn_rate: int
    good_for: str
    usd_per_hour_text: str
    lasts_minutes: int | None
    possible: bool
    why_not: str
    waiting: int


@dataclass(frozen=True)
class SshView:
    """Where a shell answers, and with which host key; that is empty until it does.

    `alias` names the home in a client's known_hosts: host and port change from session to session, the
    home's key does not.
    """

    host: str
    port: int
    user: str
    host_key: str
    host_key_fingerprint: str
    alias: str
    command: str
    config: str
    known_hosts: str


@dataclass(frozen=True)
class QueueView:
    """What a waiting claim is told beside position and reason.

    `latest_start_ms` is the promise, "starts no later than", given at `promised_at_ms`; None while there is
    none (policy `first-fit`, or no host of today can hold it). `broken_why` is the cause for which it cannot
    be kept, empty otherwise. `probable_start_ms` is a guess from history. `ahead` are the GPU counts of the
    claims that came before, in order. `reserved_until_ms`: free GPUs beside it are kept for others until
    then. `offer_until_ms`: it could start now, guaranteed until then, if its owner accepts.
    """

    latest_start_ms: int | None
    promised_at_ms: int | None
    broken_why: str
    probable_start_ms: int | None
    ahead: list[int]
    reserved_until_ms: int | None
    accept_bounded: bool
    offer_until_ms: int | None


@dataclass(frozen=True)
class GuaranteeView:
    """Until when a session may count on its GPUs, where that is before its balance ends.

    `until_ms` None: its whole balance counts. `told_until_ms` is what it was told before its start.
    `stay_until_ms`: how far a top-up could keep it as things are planned; None where nothing promised stands
    in the way. Credit is booked in any case.
    """

    until_ms: int | None
    told_until_ms: int | None
    stay_until_ms: int | None


@dataclass(frozen=True)
class SessionView:
    """A live or just finished session; `queue_*` only while queued, `stage` only while starting.

    `kind` is desktop or ssh; `ssh` is None for a desktop, and until a shell has its host. `idle_minutes`: how
    long its owner lets it be idle, 0 for ever; `idle_ends_at_ms` as in `Meter`, of the live one. `queue` is
    there while it waits, `guarantee` while it holds GPUs that are promised to somebody else later.
    `ends_at_ms`: when its balance is used up, its grace is over or its guarantee ends, as things stand; None
    while not up. `gpu_model`: what it asked for, empty for any.
    """

    id: str
    state: str
    profile: str
    gpus: int
    burn_rate: int
    detached: bool
    queue_position: int | None
    queue_reason: str
    claimed_at_ms: int
    ready_at_ms: int | None
    grace_until_ms: int | None
    stage: str
    why: str
    billed_gpu_ms: int
    kind: str
    opened_at_ms: int | None
    ssh: SshView | None
    ends_at_ms: int | None
    idle_minutes: int = 0
    idle_ends_at_ms: int | None = None
    queue: QueueView | None = None
    guarantee: GuaranteeView | None = None
    gpu_model: str = ""


@dataclass(frozen=True)
class SavedView:
    """The resume panel, "Your desktop is saved": what ran last, a desktop or a shell, and why it ended.

    `advice` is what its owner should know and can do where it did not end by anybody's wish.
    """

    profile: str
    kind: str
    ended_at_ms: int
    reason: str
    advice: str


@dataclass(frozen=True)
class Meter:
    """Answer to a heartbeat: settled up to now. `minutes_left` is wall time at this burn rate, floored.

    `watched`: another tab looks on, without input. `idle_ends_at_ms`: when it ends because nothing happens
    there, unless something does. `guaranteed_until_ms`: its GPUs are promised to somebody else from then on;
    None where its whole balance counts. `silent_ms`: how long its host has given no sign of life; not billed.
    """

    state: str
    billed_gpu_ms: int
    balance_gpu_ms: int
    burn_rate: int
    minutes_left: int
    server_now_ms: int
    low_balance: bool
    watched: bool
    idle_ends_at_ms: int | None
    guaranteed_until_ms: int | None
    silent_ms: int


@dataclass(frozen=True)
class StreamView:
    """Where the browser opens the stream (`…/stream`), and its single-use ticket."""

    gateway_url: str
    ticket: str
    expires_at_ms: int
