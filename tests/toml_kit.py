"""Settings as the platform's TOML file has them, for processes that a test starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_toml(path: Path, value: dict[str, Any]) -> None:
    """Write settings as TOML; tables one level deep, as the platform's file has them."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in value.items() if not isinstance(v, dict | type(None))]
    for name, table in value.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items() if v is not None)]
    path.write_text("\n".join(lines) + "\n")
