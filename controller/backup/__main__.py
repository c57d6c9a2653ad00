"""`python -m controller.backup`: a backup every so many hours, each proved by a restore, old ones removed."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from controller.backup import copies
from controller.errors import AxonosError
from controller.settings import load_settings

AGAIN_S = 300  # after a failure
log = logging.getLogger("axonos.backup")


def main() -> None:
    """Entry of the service; it ends on SIGTERM."""
    parser = argparse.ArgumentParser(prog="axonos-backup", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every-hours", type=float, default=24)
    parser.add_argument("--keep", type=int, default=14)
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.wait(_due_s(wanted.folder, wanted.every_hours * 3600)):
        try:
            once(wanted.folder, wanted.keep)
        except AxonosError as error:
            log.error("no backup: %s", error.message)  # noqa: TRY400 -- the sentence is enough
            stopping.wait(AGAIN_S)


def once(folder: Path, keep: int) -> copies.Backup:
    """Take one, prove it, thin out.

    Raises:
        BackupFailed: it was not taken, or cannot be restored; older ones are all kept then.
    """
    settings = load_settings()
    now = datetime.now(UTC)
    taken = copies.take(settings.database.url, settings.state_dir / "pulumi", folder, now)
    rows = copies.prove(settings.database.url, taken.folder, f"axonos_proof_{now:%H%M%S}")
    gone = copies.thin_out(folder, keep)
    told = (taken.folder.name, taken.bytes, sum(rows.values()), len(rows), len(gone))
    log.info("%s: %d bytes, restored %d rows of %d tables for proof, %d older ones removed", *told)
    return taken


def _due_s(folder: Path, every_s: float) -> float:
    found = copies.listed(folder)
    if not found:
        return 0
    last = datetime.strptime(found[-1].folder.name, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
    return max(0, every_s - (datetime.now(UTC) - last).total_seconds())


if __name__ == "__main__":
    main()
