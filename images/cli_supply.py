"""`axonos image sbom|diff|sign|check`: what an image is made of, and whose it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from images.desktop import bill, signature
from images.desktop.errors import ImageError
from images.desktop.lock import parse_lock

HERE = Path(bill.__file__).parent
_file = click.Path(path_type=Path, exists=True, dir_okay=False)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_archive = click.option("--archive", type=_file, required=True, help="The image's Docker archive.")
_key_help = "PEM file of the platform's Ed25519 key: the private one to sign, the public one to check."
_key = click.option("--key", type=_file, required=True, help=_key_help)


@click.command()
@_archive
@click.option("--out", type=click.Path(path_type=Path), help="File to write; standard output without it.")
def sbom(archive: Path, out: Path | None) -> None:
    """The image's bill of materials from the package locks of this source tree: CycloneDX 1.5 JSON."""

    def work() -> str:
        lock = parse_lock((HERE / "packages.lock").read_text())
        wheels = (HERE / "wheels.lock").read_text()
        return bill.text(bill.bill(lock, wheels, signature.content_id(archive)))

    text = _do(work, as_json=True)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text)


@click.command()
@click.argument("old", type=_file)
@click.argument("new", type=_file)
@_json
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Packages that came, went or changed between two images, by their bills of materials."""
    lines = _do(lambda: bill.difference(bill.read(old), bill.read(new)), as_json=as_json)
    click.echo(json.dumps({"difference": lines}) if as_json else "\n".join(lines) or "No package differs.")


@click.command()
@_archive
@_key
@_json
def sign(archive: Path, key: Path, *, as_json: bool) -> None:
    """Sign an image by its content; writes desktop.sig beside the archive."""
    image_id, text = _do(lambda: _signed(archive, key), as_json=as_json)
    archive.with_name(signature.NAME).write_text(text + "\n")
    click.echo(json.dumps({"image_id": image_id, "signature": text}) if as_json else f"signed {image_id}")


@click.command()
@_archive
@_key
@_json
def check(archive: Path, key: Path, *, as_json: bool) -> None:
    """Refuse an archive whose content is not what the platform's key signed: before `docker load`."""
    image_id = _do(
        lambda: signature.check(archive, archive.with_name(signature.NAME).read_text(), key), as_json=as_json
    )
    click.echo(json.dumps({"ok": True, "image_id": image_id}) if as_json else f"signed: {image_id}")


def _signed(archive: Path, key: Path) -> tuple[str, str]:
    image_id = signature.content_id(archive)
    return image_id, signature.sign(image_id, key)


def _do(work: Callable[[], Any], *, as_json: bool) -> Any:
    """Do the work; a problem becomes a message (or a JSON object) and exit status 1."""
    try:
        return work()
    except (ImageError, OSError, ValueError) as error:
        code = getattr(error, "code", "bad_input")
        said = json.dumps({"error": {"code": code, "message": str(error)}}) if as_json else str(error)
        click.echo(said, err=not as_json)
        sys.exit(1)
