"""Many values as one parameter, for statements that `unnest` their columns.

PostgreSQL reads them from text, to be cast where they are used: `CAST(:names AS text[])`. The driver escapes
each element of a list by regular expression, which is most of the time of a batch of ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def words(values: Iterable[str | None]) -> str:
    """An array of text.

    Raises:
        ValueError: one holds the character NUL, which no text of PostgreSQL may have.
    """
    all_of = list(values)
    if None in all_of:
        return "{" + ",".join("NULL" if value is None else _quoted([value]) for value in all_of) + "}"
    return "{" + (_quoted(all_of) if all_of else "") + "}"


def _quoted(values: list[Any]) -> str:
    """All at once: what no text may contain stands between them until each is quoted."""
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):
        raise ValueError("the character NUL in a text")
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\0", '","') + '"'


def numbers(values: Iterable[int]) -> str:
    """An array of whole numbers of any size, or of booleans."""
    return "{" + ",".join(map(str, values)) + "}"
