"""`axonos image`: build the desktop image, prove that it works, and prove that it builds the same twice."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from images.ci import run_ci
from images.cli_supply import check, diff, sbom, sign
from images.desktop.build import LOCK, WHEELS, WHEELS_LOCK, private_apt, resolve
from images.desktop.errors import ImageError
from images.desktop.lock import difference, read_lock
from images.desktop.verify import Finding, verify
from images.desktop.wheels import lock_wheels
from images.playbook import build_by_playbook

IMAGES = Path("/var/lib/axonos/images")
Output = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=IMAGES,
    show_default=True,
    help="Folder for archive, desktop.json, screenshots and the download cache.",
)
AsJson = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
Mirror = click.option("--mirror", help="A Debian mirror (…/debian) instead of this machine's apt sources.")


@click.group()
def image() -> None:
    """Build, verify and compare the desktop image.

    Exit codes: 0 done, 1 failed (the message says why), 2 wrong usage.
    """


for command in (sbom, diff, sign, check):
    image.add_command(command)


@image.command()
@Output
@Mirror
@click.option("--force", is_flag=True, help="Build again even if nothing changed.")
@AsJson
def build(output: Path, mirror: str | None, *, force: bool, as_json: bool) -> None:
    """Build the image from its locked packages and load it into Docker (root)."""
    built = _do(
        lambda: build_by_playbook(output.absolute(), mirror=mirror, force=force, load=True), as_json=as_json
    )
    _say(built, as_json=as_json, text=_built_text(built))


@image.command("verify")
@Output
@click.option("--image", "image_id", help="Image ID; default is the one that was built last.")
@AsJson
def verify_command(output: Path, image_id: str | None, *, as_json: bool) -> None:
    """Boot the image as a session would be and check it; leaves a screenshot (root)."""

    def report(finding: Finding) -> None:
        if not as_json:
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark} {finding.name}: {finding.detail}")

    def work() -> dict[str, Any]:
        return verify(image_id or _last_built(output), output.absolute() / "desktop.png", report).facts()

    verdict = _do(work, as_json=as_json)
    text = f"Painted {verdict['started_ms']} ms after docker run. Screenshot: {verdict['screenshot']}"
    _say(verdict, as_json=as_json, text=text)
    sys.exit(0 if verdict["ok"] else 1)


@image.command()
@Output
@Mirror
@AsJson
def ci(output: Path, mirror: str | None, *, as_json: bool) -> None:
    """Rebuild, compare the digests of two builds, verify: what CI runs (root)."""

    def progress(line: str) -> None:
        if not as_json:
            click.echo(line)

    verdict = _do(lambda: run_ci(output.absolute(), mirror=mirror, progress=progress), as_json=as_json)
    text = (
        "The image is reproducible and works."
        if verdict["ok"]
        else f"Failed: {', '.join(verdict['problems'])}"
    )
    _say(verdict, as_json=as_json, text=text)
    sys.exit(0 if verdict["ok"] else 1)


@image.command()
@Mirror
@AsJson
def lock(mirror: str | None, *, as_json: bool) -> None:
    """Write the package locks anew from what the archives have today (needs uv), and show the difference."""

    def work() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            current = resolve(private_apt(Path(folder), mirror))
        lines = difference(read_lock(LOCK), current) if LOCK.exists() else []
        LOCK.write_text(current.text())
        lock_wheels(WHEELS, WHEELS_LOCK)
        return {"packages": len(current.packages), "difference": lines}

    written = _do(work, as_json=as_json)
    _say(
        written,
        as_json=as_json,
        text="\n".join([*written["difference"], f"{written['packages']} packages locked."]),
    )


def _last_built(output: Path) -> str:
    try:
        return str(json.loads((output / "desktop.json").read_text())["image_id"])
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"{output} holds no built image. Run `axonos image build` first.") from error


def _built_text(built: dict[str, Any]) -> str:
    lines = [
        f"{built['image_id']}  {built['packages']} packages, {built['size_bytes'] >> 20} MiB",
        f"{built['seconds']} s, {built['archive']}",
    ]
    if not built["locked"]:
        lines += ["Unlocked: the archive has other packages than the lock.", *built["difference"]]
    return "\n".join(lines)


def _do(work: Callable[[], Any], *, as_json: bool) -> dict[str, Any]:
    """Do the work; an image error becomes a message (or a JSON object) and exit status 1."""
    try:
        done = work()
    except ImageError as error:
        _fail(error, as_json=as_json)
    return done if isinstance(done, dict) else asdict(done)


def _fail(error: ImageError, *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": error.code, "message": str(error)}}))
    else:
        click.echo(str(error), err=True)
    sys.exit(1)


def _say(facts: dict[str, Any], *, as_json: bool, text: str) -> None:
    click.echo(json.dumps(facts) if as_json else text)
