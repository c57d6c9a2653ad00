"""`python -m controller.files`: serves one home on the socket that is its standard input, then ends.

The guard starts it, as root, for each connection that the gateway passes on. Root reads the ticket, opens the
home's top folder and locks itself in; everything that touches a name inside happens after that.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

from controller.files.admit import Refused, admit
from controller.files.channel import Channel, Gone
from controller.files.confine import confine
from controller.files.serve import serve
from controller.host.config import default_path, load

TICKET_S, IDLE_S = 10, 120


def main() -> int:
    """Returns 0 when the connection came to its end, 1 when it was refused."""
    link = socket.socket(fileno=0)
    link.settimeout(TICKET_S)
    channel = Channel(link)
    with suppress(Gone):
        config = load(default_path("axonos"), trusted=True)
        try:
            top = admit(config, channel.line())
        except Refused as refused:
            channel.say(ok=False, code=refused.code, message=str(refused))
            return 1
        confine(top, config.session_uid)
        link.settimeout(IDLE_S)
        channel.say(ok=True)
        serve(channel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
