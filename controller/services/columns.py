"""Many values as one parameter, for statements that `unnest` their columns.

PostgreSQL reads them from text, to be cast where they are used: `CAST(:names AS text[])`. The driver escapes
each element of a list by regular expression, which is most of the time of a batch of ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable


def words(values: Iterable[str | None]) -> str:
    """An array of text; none with the character NUL, which no text of PostgreSQL may have."""
    quoted = [
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(quoted) + "}"


def numbers(values: Iterable[int]) -> str:
    """An array of whole numbers of any size, or of booleans."""
    return "{" + ",".join(map(str, values)) + "}"
