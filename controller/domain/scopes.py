"""What an API token may do: a few named scopes, each a part of the API. Words only; they give no right."""

from __future__ import annotations

from typing import Final

SCOPES: Final[dict[str, str]] = {
    "account:read": "See balance, deposits, quotes and statement",
    "payments:write": "Ask for quotes and point at deposits; it moves no money",
    "sessions:read": "See sessions, and where a shell answers",
    "sessions:write": "Start, watch and end sessions: this spends the balance and opens your files",
    "keys:read": "See the list of public SSH keys",
    "keys:write": "Change the list of public SSH keys",
    "files:read": "See what the home costs, and its snapshots",
    "files:write": "Read and change the files of the home, make and use snapshots",
}


def unknown(names: list[str]) -> list[str]:
    """Those of the names that are no scope."""
    return [name for name in names if name not in SCOPES]


def in_order(names: list[str]) -> list[str]:
    """The same scopes once each, in the order in which they are shown."""
    return [name for name in SCOPES if name in names]
