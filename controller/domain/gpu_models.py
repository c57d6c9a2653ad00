"""What a host's GPUs are called, where people may choose: the one model that all of them share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ANY = ""  # whoever asks for no model takes any host
_NAMELESS = frozenset({"", "unknown"})


def host_label(models: Iterable[str]) -> str:
    """The label of a host: the model of its GPUs, empty where they differ or nobody knows.

    A host of several models has no label: a claim is promised a number of GPUs of a host, not certain ones.
    """
    found = set(models)
    return found.pop() if len(found) == 1 and not found & _NAMELESS else ANY


def suits(wanted: str, label: str) -> bool:
    """Whether a claim for that model may run on a host with that label."""
    return wanted in (ANY, label)


def unsuited(wanted: str, labels: Mapping[str, str]) -> frozenset[str]:
    """The hosts on which a claim for that model may not run."""
    return frozenset(host for host, label in labels.items() if not suits(wanted, label))
