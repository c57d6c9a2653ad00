"""`pulumi preview|up` in this folder: the same program that `axonos infra` runs, for the official CLI."""

from __future__ import annotations

from pathlib import Path

import pulumi

from infra.built_image import built_image
from infra.instance import resolve
from infra.program import declare
from infra.stack_file import configured

state_dir = Path(pulumi.Config("axonos").get("state_dir") or "/var/lib/axonos")
instance = resolve(None, state_dir)
declare(configured(instance, pulumi.get_stack()), built_image(state_dir / "images"))
