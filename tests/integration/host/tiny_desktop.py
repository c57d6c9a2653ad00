"""A desktop without a desktop: keeps the session image's contract with the host, in 30 MB and 50 ms.

It serves RFB's greeting on the unix socket and echoes what follows, writes `ready`, and ends on SIGTERM.
The home's file `.tiny` chooses a fault: `never` (no ready), `die` (exits), `link` (socket is a link).
With AXONOS_WARM=1 it waits for a home first, as the real one does: its socket has another name until then.
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
HOME = "/home/axon"
WARM = os.environ.get("AXONOS_WARM") == "1"


def fault():
    chosen = pathlib.Path("/home/axon/.tiny")
    return chosen.read_text().strip() if chosen.exists() else ""


def serve(connection):
    connection.sendall(b"RFB 003.008\n")
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()


def tell(name):
    new = pathlib.Path(FOLDER, "new")
    new.write_text(json.dumps({"painted_ms": 1, "stages": {"painted_ms": 1}}))
    new.rename(f"{FOLDER}/{name}")


def wait_for_a_home():
    pathlib.Path(HOME, "left-behind").write_text("nobody's")
    before = pathlib.Path(HOME).stat().st_dev
    tell("warm")
    while pathlib.Path(HOME).stat().st_dev == before:
        time.sleep(0.004)
    os.chdir(HOME)


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if fault() == "die":
        sys.exit(3)
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0o117)
    listener.bind(f"{FOLDER}/{'waiting' if WARM else 'rfb'}.sock")
    listener.listen(16)
    if WARM:
        wait_for_a_home()
        pathlib.Path(FOLDER, "waiting.sock").rename(f"{FOLDER}/rfb.sock")
    if fault() != "never":
        tell("ready")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
