"""What CI asks of the image: built anew twice one digest, and it works. Workflow files only call this."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from images.desktop.build import build
from images.desktop.verify import verify
from images.playbook import build_by_playbook


def run_ci(output: Path, *, mirror: str | None, progress: Callable[[str], None]) -> dict[str, Any]:
    """Rebuild, compare, verify.

    Args:
        output: folder of the image that is kept.
        mirror: a Debian mirror instead of this machine's apt sources.
        progress: told each step.

    Returns:
        `ok`, `problems` (words), the digests, seconds of both builds, and the verdict of verify.

    Raises:
        ImageError: a build failed, or the image did not come up at all.
    """
    progress("Building from the locks")
    first = build_by_playbook(output, mirror=mirror, force=True, load=True)
    progress(f"{first['image_id']} in {first['seconds']} s. Building it again, in another place")
    # The second build shares only the download cache, which is checked by hash.
    with tempfile.TemporaryDirectory(prefix="again-", dir=output) as folder:
        again = Path(folder)
        (again / "cache").symlink_to(output / "cache")
        second = build(again, force=True, mirror=mirror, load=False)
    progress(f"{second.image_id} in {second.seconds} s. Booting it")
    verdict = verify(first["image_id"], output / "desktop.png", lambda f: progress(f"{f.name}: {f.detail}"))
    problems = [finding.name for finding in verdict.checks if not finding.ok]
    if first["image_id"] != second.image_id:
        problems.insert(0, "two builds differ")
    return {
        "ok": not problems,
        "problems": problems,
        "image_ids": [first["image_id"], second.image_id],
        "locked": first["locked"],
        "difference": first["difference"],
        "build_seconds": [first["seconds"], second.seconds],
        "size_bytes": first["size_bytes"],
        "verify": verdict.facts(),
    }
