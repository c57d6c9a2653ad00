"""A desktop that is painted at once: what a start costs besides the painting.

Put over the session program of a desktop image. Standard library only; runs inside the container.
"""

import json
import os
import signal
import socket
import sys
import time

FOLDER = "/run/desktop"


def main() -> None:
    """Offer the socket, say that everything is painted, wait for the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o117)
    listener.bind(f"{FOLDER}/rfb.sock")
    listener.listen()
    with open(f"{FOLDER}/ready.new", "w", encoding="utf-8") as file:  # noqa: PTH123 - starts quicker
        json.dump({"painted_ms": 0, "stages": {}}, file)
    os.rename(f"{FOLDER}/ready.new", f"{FOLDER}/ready")  # noqa: PTH104
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
