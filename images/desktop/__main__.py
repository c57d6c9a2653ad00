"""`python -m images.desktop`: one build, one JSON object on stdout. What playbooks/image.yml runs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from images.desktop.build import build
from images.desktop.errors import ImageError


def main(arguments: list[str] | None = None) -> int:
    """Build as asked; 0 when the image is there, 1 with the reason on stderr when not."""
    parser = argparse.ArgumentParser(prog="python -m images.desktop", description=__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for archive, desktop.json and cache"
    )
    parser.add_argument(
        "--mirror", default=None, help="a Debian mirror instead of this machine's apt sources"
    )
    parser.add_argument("--force", action="store_true", help="build again even if nothing changed")
    parser.add_argument("--load", action="store_true", help="also load the image into Docker")
    asked = parser.parse_args(arguments)
    try:
        built = build(
            asked.output.absolute(), force=asked.force, mirror=asked.mirror or None, load=asked.load
        )
    except ImageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(built)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
