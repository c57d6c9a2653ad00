"""A desktop without a desktop: keeps the session image's contract with the host, in 30 MB and 50 ms.

It serves RFB's greeting on the unix socket and echoes what follows, writes `ready`, and ends on SIGTERM.
The home's file `.tiny` chooses a fault: `never` (no ready), `die` (exits), `link` (socket is a link).
"""

import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time

FOLDER = "/run/desktop"


def fault():
    chosen = pathlib.Path("/home/axon/.tiny")
    return chosen.read_text().strip() if chosen.exists() else ""


def serve(connection):
    connection.sendall(b"RFB 003.008\n")
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if fault() == "die":
        sys.exit(3)
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o117)
    listener.bind(f"{FOLDER}/rfb.sock")
    listener.listen(16)
    if fault() != "never":
        new = pathlib.Path(FOLDER, "ready.new")
        new.write_text(json.dumps({"painted_ms": round(time.monotonic() * 1000) % 1000, "stages": {}}))
        new.rename(f"{FOLDER}/ready")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
