"""The compiled contracts, committed beside their sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "artifacts"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str


def artifact(name: str) -> Artifact:
    """Read one by the contract's name."""
    data = json.loads((FOLDER / f"{name}.json").read_text())
    return Artifact(name, data["abi"], data["bytecode"], data["deployed_bytecode"])
