"""A client of the site's API: typed, small, importing nothing of the server.

    from controller.client import Axonos, Shell

    with Axonos.with_token("https://gpu.example.org", token) as axonos, Shell(axonos, "small") as shell:
        print(shell.run("nvidia-smi").stdout)

A wallet that pays by x402 is a `controller.client.paying.Payer` in the place of `Axonos`; slower to import.
Not the browser's scripts, and not the self-check's visitor, which drives whole pages.
"""

from controller.client.answers import Me, Session, Ssh
from controller.client.api import Axonos
from controller.client.errors import ApiError, NotReady, PaymentRefused, ShellFailed, Unreachable
from controller.client.shell import Finished, Shell

__all__ = [
    "ApiError",
    "Axonos",
    "Finished",
    "Me",
    "NotReady",
    "PaymentRefused",
    "Session",
    "Shell",
    "ShellFailed",
    "Ssh",
    "Unreachable",
]
