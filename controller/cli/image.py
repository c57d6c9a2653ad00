"""`axonos image push|roll`: a signed image to the hosts, and which one new sessions boot."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import click

from controller.cli.output import connect, json_option, print_json, print_table
from controller.errors import BadInput, RunFailed, Unavailable
from controller.services.deps import Deps
from controller.services.hosts import images
from controller.services.hosts.images import Archive, OnHost
from controller.settings import Settings

LOOK_S = 1.0
_host = click.option("--host", "hosts", multiple=True, help="Only this host; repeatable.")
_folder = click.option(
    "--output",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/var/lib/axonos/images"),
    show_default=True,
    help="Folder of a built and signed image: desktop.json, its archive, desktop.sig.",
)
_wait = click.option(
    "--wait-s", default=1800, show_default=True, help="How long to wait; 0 comes back at once."
)


@click.command()
@_folder
@_host
@_wait
@json_option
def push(output: Path, hosts: tuple[str, ...], wait_s: int, *, as_json: bool) -> None:
    """Bring the image to the hosts, so that a roll-out takes seconds; nothing boots it yet.

    Each host checks the platform's signature over the archive's content before its engine sees it.
    """
    _bring(output, hosts, wait_s, activate=False, as_json=as_json)


@click.command()
@_folder
@_host
@_wait
@click.option("--back", is_flag=True, help="Boot again what each host booted before.")
@json_option
def roll(output: Path, hosts: tuple[str, ...], wait_s: int, *, back: bool, as_json: bool) -> None:
    """Let new sessions boot the image, host by host up to one that refuses; those that run keep theirs."""
    if back:
        _tell(images.roll_back(connect()), as_json=as_json)
        return
    _bring(output, hosts, wait_s, activate=True, as_json=as_json)


def _bring(folder: Path, hosts: tuple[str, ...], wait_s: int, *, activate: bool, as_json: bool) -> None:
    deps, archive = connect(), read_archive(folder)
    chosen = images.bring(deps, archive, hosts, activate=activate)
    if not wait_s:
        _tell([one for one in images.standings(deps) if one.host in chosen], as_json=as_json)
        return
    _tell(_wait_for(deps, archive, chosen, wait_s), as_json=as_json)


def image_here(settings: Settings) -> Archive | None:
    """The image that was built on this machine, signed by the platform; None where none was.

    Raises:
        Unavailable: it could not be signed.
    """
    folder = settings.state_dir / "images"
    try:
        archive = folder / json.loads((folder / "desktop.json").read_text())["archive"]
    except FileNotFoundError:
        return None
    signed = folder / "desktop.sig"
    if not signed.exists() or signed.stat().st_mtime < archive.stat().st_mtime:
        program = Path(sys.executable).with_name("axonos")
        words = [program, "image", "sign", "--archive", archive, "--key", settings.secrets.ticket_private_key]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"The image could not be signed: {(done.stderr or done.stdout).strip()[-300:]}")
    return read_archive(folder)


def read_archive(folder: Path) -> Archive:
    """The image that was built and signed in a folder.

    Raises:
        BadInput: a part of it is not there.
    """
    try:
        built = json.loads((folder / "desktop.json").read_text())
        signature = (folder / "desktop.sig").read_text().strip()
        archive = folder / built["archive"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{folder} holds no built and signed image ({error}). Run `axonos image build`, then"
            f" `axonos image sign --archive {folder}/desktop-….tar --key STATE/secrets/ticket_private.pem`.",
            field="output",
        ) from error
    return Archive(str(built["image_id"]), str(archive.absolute()), signature)


def _wait_for(deps: Deps, archive: Archive, hosts: list[str], wait_s: int) -> list[OnHost]:
    """Until every host has it, or one refuses.

    Raises:
        RunFailed: with the host that refused, and why.
        Unavailable: it is not done in time; the worker goes on.
    """
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        found = [one for one in images.standings(deps) if one.host in hosts]
        ours = [one for one in found if one.pushed_image_id == archive.image_id]
        for one in ours:
            if one.push == "failed":
                raise RunFailed(
                    f"{one.host} did not take the image: {one.error}. Hosts after it were not touched."
                )
        if len(ours) == len(hosts) and all(one.push == "succeeded" for one in ours):
            return found
        time.sleep(LOOK_S)
    raise Unavailable(
        f"The image is not on all hosts after {wait_s} s; does the worker run? It goes on by itself."
    )


def _tell(found: list[OnHost], *, as_json: bool) -> None:
    if as_json:
        print_json({"hosts": found})
        return
    rows = [
        (one.host, one.image_id[:19], (one.previous_image_id or "-")[:19], one.push or "-", one.error or "")
        for one in found
    ]
    print_table(("HOST", "BOOTS", "BEFORE", "LAST PUSH", "WHY"), rows, empty="There is no host.")
