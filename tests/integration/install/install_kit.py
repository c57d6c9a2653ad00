"""How tests read what a module of the local collection answered."""

from __future__ import annotations

from typing import Any


def things(answer: dict[str, Any]) -> list[str]:
    """What differed, by name."""
    assert answer["changed"] == bool(answer["results"])
    return [found["path"] for found in answer["results"]]
