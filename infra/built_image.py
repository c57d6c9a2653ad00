"""The desktop image as the builder left it: an archive on disk and the one image ID it must hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ImageRefused


@dataclass(frozen=True)
class BuiltImage:
    """An image archive for `docker load`, and the ID of the image inside."""

    image_id: str
    archive: Path


def built_image(images_dir: Path) -> BuiltImage | None:
    """What `desktop.json` in this folder records; None before the first build.

    Raises:
        ImageRefused: the record cannot be read.
    """
    record = images_dir / "desktop.json"
    try:
        found = json.loads(record.read_bytes())
        return BuiltImage(image_id=found["image_id"], archive=images_dir / found["archive"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise ImageRefused(f"{record} cannot be read: {error!r}. Run `axonos image build`.") from error
