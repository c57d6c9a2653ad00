"""Connects to a desktop's socket without trusting what lies in its folder.

The folder is writable from inside the container, so the socket is opened without following links, its kind
and owner are checked on the opened descriptor, and the connection goes through that very descriptor.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

from controller.host.names import FILES_SOCKET, SOCKET


class NoDesktop(Exception):
    """There is no desktop to connect to."""


def connect(run_dir: Path, slot: str, uid: int) -> socket.socket:
    """Connect to a slot's desktop.

    Args:
        run_dir: the instance's run folder.
        slot: a checked slot id.
        uid: the session user, who must own the socket and listen on it.

    Raises:
        NoDesktop: with the reason.
    """
    try:
        folder = os.open(run_dir / "slots" / slot, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            opened = os.open(SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NoDesktop(error.strerror) from error
    try:
        status = os.fstat(opened)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != uid:
            raise NoDesktop("not a socket of the session user")
        return _connected(f"/proc/self/fd/{opened}", uid)
    finally:
        os.close(opened)


def connect_files(run_dir: Path, ticket: str) -> socket.socket:
    """Connect to what serves the files of homes, and show it the ticket, which it checks once more.

    Raises:
        NoDesktop: nobody but root may listen there, and nobody does.
    """
    link = _connected(str(run_dir / FILES_SOCKET), 0)
    link.send(ticket.encode() + b"\n")  # fits into the new connection's empty buffer
    return link


def _connected(path: str, uid: int) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        link.connect(path)
        listener = _listener_uid(link)
    except OSError as error:
        link.close()
        raise NoDesktop(error.strerror) from error
    if listener != uid:
        link.close()
        raise NoDesktop("another user listens there")
    return link


def _listener_uid(link: socket.socket) -> int:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)
