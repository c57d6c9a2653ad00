"""Many values as one parameter, for statements that `unnest` their columns."""

from __future__ import annotations

from collections.abc import Iterable


def array(values: Iterable[int | str | None]) -> str:
    """An array as PostgreSQL reads it from text, to be cast where it is used: `CAST(:names AS text[])`.

    The driver escapes each element of a list by regular expression, which is most of the time of a batch
    of ten thousand rows.

    Args:
        values: whole numbers, booleans, text without the character NUL (which no text of PostgreSQL may
            have), or None.
    """
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: int | str | None) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "NULL" if value is None else str(value)
