"""Requests to the host program, checked field by field: this is where another user's words reach root."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.host.config import INSTANCE
from controller.host.names import SLOT
from controller.host.words import HostRefused

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class StartRequest:
    """One session to start. `lease_until_ms` is host wall clock; `gpus` are UUIDs.

    A shell (`kind` ssh) has no desktop: whoever holds one of `ssh_keys` logs in at the host's `ssh_port`.

    A `warm` one is painted before anybody has come: without a `home` it is to wait, frozen; with one it is to
    be given that home. `reserve_mib` is the host's memory that waiting desktops leave alone.
    `home_generation` is the one the host is to open the home for, 0 where homes never move; `home_base` says
    from what, where it is not open for it yet: `new`, the snapshot that came, or what lies here (empty).
    """

    instance: str
    slot: str
    subnet_index: int
    session: str
    generation: int
    fencing_token: int
    lease_until_ms: int
    image: str
    config_digest: str
    home: str
    gpus: tuple[str, ...]
    simulated: bool
    cpus: float
    memory_mib: int
    pids: int
    geometry: str
    fresh_start: bool
    start_timeout_s: int
    warm: bool = False
    reserve_mib: int = 0
    home_generation: int = 0
    home_base: str = ""
    kind: str = "desktop"
    ssh_keys: tuple[str, ...] = ()
    ssh_port: int = 0
    ssh_host: str = ""

    @property
    def waits(self) -> bool:
        """Whether nobody has come yet."""
        return self.warm and not self.home


@dataclass(frozen=True)
class StopRequest:
    """One slot to clear, whatever is left of it. `gpus` are checked afterwards; none where it holds none."""

    instance: str
    slot: str
    fencing_token: int
    timeout_s: int
    gpus: tuple[str, ...] = ()
    simulated: bool = True
    gpus_since_ms: int = 0


@dataclass(frozen=True)
class CheckRequest:
    """GPUs to look at. Xid errors before `gpus_since_ms` (host wall clock) are not theirs."""

    instance: str
    gpus: tuple[str, ...]
    simulated: bool
    gpus_since_ms: int


@dataclass(frozen=True)
class ProbeRequest:
    """All slots of one instance."""

    instance: str


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _flag(value: Any) -> bool:
    return type(value) is bool


_GPU = _matches(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def _gpus(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(map(_GPU, value))
        and len(set(value)) == len(value)
    )


_KEY = _matches(r"[a-z0-9@.-]{7,40} [A-Za-z0-9+/]{40,3000}={0,2}")


def _keys(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 16 and all(map(_KEY, value))


_COMMON: dict[str, Check] = {
    "instance": _matches(INSTANCE.pattern),
    "slot": _matches(SLOT.pattern),
    "fencing_token": _whole(0, 2**62),
}
_START: dict[str, Check] = _COMMON | {
    "subnet_index": _whole(0, 4094),
    "session": _matches(r"[A-Za-z0-9-]{0,36}"),
    "generation": _whole(1, 2**31),
    "lease_until_ms": _whole(1, 2**53),
    "image": _matches(r"sha256:[0-9a-f]{64}"),
    "config_digest": _matches(r"[A-Za-z0-9:]{8,80}"),
    "home": _matches(r"(0x[0-9a-f]{40})?"),
    "gpus": _gpus,
    "simulated": _flag,
    "cpus": lambda v: type(v) in (int, float) and 0.01 <= v <= 4096,
    "memory_mib": _whole(64, 2**24),
    "pids": _whole(16, 2**20),
    "geometry": _matches(r"[1-9][0-9]{2,3}x[1-9][0-9]{2,3}"),
    "fresh_start": _flag,
    "start_timeout_s": _whole(1, 600),
    "warm": _flag,
    "reserve_mib": _whole(0, 2**24),
    "home_generation": _whole(0, 2**53),
    "home_base": _matches(r"([a-z0-9][a-z0-9.-]{0,62})?"),
    "kind": lambda v: v in ("desktop", "ssh"),
    "ssh_keys": _keys,
    "ssh_port": lambda v: type(v) is int and (v == 0 or 1024 <= v < 65_536),
    "ssh_host": _matches(r"[A-Za-z0-9.:-]{0,253}"),
}
_COLD: dict[str, Any] = {
    "warm": False,
    "reserve_mib": 0,
    "kind": "desktop",
    "ssh_keys": [],
    "ssh_port": 0,
    "ssh_host": "",
}
_COLD |= {"home_generation": 0, "home_base": ""}
_GPUS: dict[str, Check] = {"gpus": _gpus, "simulated": _flag, "gpus_since_ms": _whole(0, 2**53)}
_STOP: dict[str, Check] = _COMMON | {"timeout_s": _whole(0, 120)} | _GPUS
_CHECK: dict[str, Check] = {"instance": _COMMON["instance"]} | _GPUS
_NO_GPUS: dict[str, Any] = {"gpus": [], "simulated": True, "gpus_since_ms": 0}
_PROBE: dict[str, Check] = {"instance": _COMMON["instance"]}


def parse_start(data: Any) -> StartRequest:
    """Check a start request.

    Raises:
        HostRefused: bad_input, naming every field that is wrong.
    """
    fields = _fields({**_COLD, **data} if isinstance(data, dict) else data, _START)
    if not (fields["home"] and fields["session"]) and not fields["warm"]:
        raise HostRefused("bad_input", "home, session: only a desktop that waits has none")
    if not fields["simulated"] and not fields["gpus"]:
        raise HostRefused("bad_input", "gpus: a paid session never starts without its devices")
    _check_shell(fields)
    lists = {name: tuple(fields[name]) for name in ("gpus", "ssh_keys")}
    return StartRequest(**{**fields, **lists, "cpus": float(fields["cpus"])})


def _check_shell(fields: dict[str, Any]) -> None:
    shell = fields["kind"] == "ssh"
    if shell and not (fields["ssh_keys"] and fields["ssh_port"] and fields["home"] and not fields["warm"]):
        raise HostRefused("bad_input", "ssh_keys, ssh_port, home: a shell needs them, and never waits")
    if not shell and (fields["ssh_keys"] or fields["ssh_port"]):
        raise HostRefused("bad_input", "ssh_keys, ssh_port: only a shell has them")


def parse_stop(data: Any) -> StopRequest:
    """Check a stop request. Raises HostRefused bad_input."""
    fields = _fields({**_NO_GPUS, **data} if isinstance(data, dict) else data, _STOP)
    return StopRequest(**{**fields, "gpus": tuple(fields["gpus"])})


def parse_check(data: Any) -> CheckRequest:
    """Check a request to look at GPUs. Raises HostRefused bad_input."""
    fields = _fields(data, _CHECK)
    return CheckRequest(**{**fields, "gpus": tuple(fields["gpus"])})


def parse_probe(data: Any) -> ProbeRequest:
    """Check a probe request. Raises HostRefused bad_input."""
    return ProbeRequest(**_fields(data, _PROBE))


def _fields(data: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise HostRefused("bad_input", "one JSON object is expected")
    wrong = sorted(name for name, check in checks.items() if name not in data or not check(data[name]))
    wrong += sorted(map(str, data.keys() - checks.keys()))
    if wrong:
        raise HostRefused("bad_input", "missing, malformed or unknown: " + ", ".join(wrong)[:500])
    return data


# What requests about homes are made of too (`home_request`).
COMMON, checked, is_flag, matches, whole = _COMMON, _fields, _flag, _matches, _whole
