"""The program that ansible-runner starts as `ansible-playbook`: gives the run to the warm server, or runs it.

Standard library only, and little of it: its start is part of every run. `keeper.py` writes it to a file with
the two constants below filled in.
"""

import os
import sys

FOLDER = ""  # where the server's socket `current` is
PLAYBOOK = ""  # the real ansible-playbook
SERVER_PATIENCE_S = 10.0
LOST = 251  # exit status when the server or its child went away in the middle of the run


def main() -> None:
    """Never returns: ends with the run's status, or becomes the real program."""
    try:
        refused = _give(os.open(FOLDER, os.O_PATH | os.O_CLOEXEC))
    except FileNotFoundError:
        refused = "server is not ready"
    except (OSError, ValueError) as error:
        refused = f"server does not answer: {error}"
    _say(f"cold {refused}")
    os.execv(PLAYBOOK, [PLAYBOOK, *sys.argv[1:]])  # noqa: S606 - the run itself


def _give(folder: int) -> str:
    """Ends the process with the run's status; returns why the server does not take the run."""
    import json  # noqa: PLC0415
    import socket  # noqa: PLC0415

    where = f"/proc/self/fd/{folder}/current"  # a socket's path may hold 107 bytes
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SERVER_PATIENCE_S)
    try:
        connection.connect(where)
    except ConnectionRefusedError:  # perhaps another server has just taken over
        connection.connect(where)
    umask = os.umask(0o077)
    os.umask(umask)
    request = {"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "umask": umask}  # noqa: PTH109
    body = json.dumps(request).encode()
    socket.send_fds(connection, [len(body).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(body)
    answer = connection.recv(1)
    if answer != b"S":
        return connection.recv(200).decode() if answer == b"R" else "server went away"
    _say("warm")
    connection.sendall(b"G")
    connection.settimeout(None)
    status = connection.recv(2)
    os._exit(int.from_bytes(status, "big") if len(status) == 2 else LOST)


def _say(how: str) -> None:
    """Write down how the run went about it, for the run's record."""
    try:
        with open(os.environ.get("AXONOS_RUN_WAY", os.devnull), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(how)
    except OSError:  # a full disk is the run's trouble, not this note's
        pass


if __name__ == "__main__":
    main()
