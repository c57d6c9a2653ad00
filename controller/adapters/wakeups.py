"""What other processes say through PostgreSQL: new work, free GPUs. It only wakes; nobody relies on it."""

from __future__ import annotations

import psycopg
from sqlalchemy.engine import make_url

from controller.errors import DatabaseUnavailable

CHANNEL = "axonos_wake"
EVERYTHING = frozenset({"runs", "queue"})


class Wakeups:
    """One listening connection, opened again after an outage. For one thread."""

    def __init__(self, url: str) -> None:
        """Args: the `postgresql+psycopg://` URL of the database whose triggers notify."""
        plain = make_url(url).set(drivername="postgresql")
        self._conninfo = plain.render_as_string(hide_password=False)
        self._connection: psycopg.Connection | None = None

    def wait(self, timeout_s: float) -> frozenset[str]:
        """Words heard within the time: `runs`, `queue`. After an outage everything may have been missed.

        Raises:
            DatabaseUnavailable: nothing can be heard now.
        """
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10)
                self._connection.execute(f"LISTEN {CHANNEL}")
                return EVERYTHING
            heard = self._connection.notifies(timeout=timeout_s, stop_after=1)
            return frozenset(note.payload for note in heard)
        except psycopg.Error as error:
            self.close()
            raise DatabaseUnavailable from error

    def close(self) -> None:
        """Hang up; the next wait connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
