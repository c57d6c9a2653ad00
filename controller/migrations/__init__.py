"""Database migrations (alembic), packaged so that an installed platform upgrades itself.

`python -m controller.migrations upgrade` reads the platform's settings; `migrate(url)` is the same for a
database named directly. Running either again changes nothing.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

# One migration at a time, whoever starts it: PostgreSQL's advisory lock with this number.
LOCK = 0x41584F4E


def config(url: str) -> Config:
    """Alembic's configuration for one database, without an ini file."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["url"] = url
    return made


def migrate(url: str) -> None:
    """Bring a database to the newest schema; nothing happens where it already is.

    Args:
        url: a `postgresql+psycopg://` URL of a role that may create tables.

    Raises:
        sqlalchemy.exc.OperationalError: the server cannot be reached.
    """
    command.upgrade(config(url), "head")


def pending(url: str) -> bool:
    """Whether `migrate` would change the database."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current != ScriptDirectory.from_config(config(url)).get_current_head()
