"""A desktop that answers: to each pointer event with an update request, one update of 16 KiB, at once.

`python -m stream.desktop SOCKET UID`: listens on a unix socket as that user, until it is killed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from pathlib import Path
from typing import cast

import uvloop

ASKED = 16  # six bytes of a pointer event, ten of an update request
UPDATE = bytes(16_400)


class Answers(asyncio.Protocol):
    """One connection. What comes is only counted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out, self.owed = cast(asyncio.Transport, transport), 0

    def data_received(self, data: bytes) -> None:
        self.owed += len(data)
        while self.owed >= ASKED:
            self.owed -= ASKED
            self.out.write(UPDATE)


async def serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Answers, sock=listener, backlog=1024)
    await server.serve_forever()


def listen(path: str, uid: int) -> socket.socket:
    """The kernel notes who listens, and the gateway looks at that."""
    os.chown(".", uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    found = socket.socket(socket.AF_UNIX)
    found.bind(path)
    found.listen(1024)
    return found


if __name__ == "__main__":
    gc.disable()
    where = Path(sys.argv[1])
    os.chdir(where.parent)  # its parents may be closed to that user
    uvloop.run(serve(listen(where.name, int(sys.argv[2]))))
