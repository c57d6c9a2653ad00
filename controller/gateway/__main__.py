"""`python -m controller.gateway`: one process per GPU host, as its own user. Reads `AXONOS_CONFIG`."""

from __future__ import annotations

import logging
import sys

import uvloop

from controller.errors import SettingsInvalid
from controller.gateway.server import serve
from controller.host.config import ConfigInvalid, default_path, load


def main() -> int:
    """Returns 0 after a drain, 1 when the gateway could not start; the reason is on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        uvloop.run(serve(load(default_path("axonos"))))
    except (ConfigInvalid, SettingsInvalid, OSError) as error:
        sys.stderr.write(f"axonos gateway: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
