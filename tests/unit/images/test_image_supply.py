"""Bill of materials, difference, signature: another byte, another key or another image is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from images import cli
from images.desktop import bill
from images.desktop.archive import write_archive
from images.desktop.lock import Lock, Package

LOCK = Lock(1_700_000_000, (Package("tool", "1:2+b1", "amd64", "a" * 64, 3, "pool/t.deb"),))


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli.image, [str(one) for one in arguments])


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write_archive(io.BytesIO(b"layer" * 5_000), {"User": "7000"}, tmp_path / "desktop.tar", "a:b", 1)
    return tmp_path / "desktop.tar"


def test_the_bill_is_the_same_each_time_and_names_every_package(archive: Path) -> None:
    first, second = run("sbom", "--archive", archive), run("sbom", "--archive", archive)
    assert first.output == second.output
    found = json.loads(first.output)
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    names = {component["name"] for component in found["components"]}
    assert {"bash", "jupyterlab"} <= names
    assert found["metadata"]["component"]["version"].startswith("sha256:")


def test_a_difference_names_what_came_went_and_changed(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(bill.text(bill.bill(LOCK, "x==1 \\\n    --hash=sha256:0\ny==1\n", "sha256:1")))
    changed = Lock(2, (Package("tool", "1:3", "amd64", "b" * 64, 3, "pool/t.deb"),))
    new.write_text(bill.text(bill.bill(changed, "y==1\nz==2\n", "sha256:2")))
    assert json.loads(run("diff", old, new, "--json").output) == {
        "difference": ["~ tool 1:2+b1 -> 1:3", "- x 1", "+ z 2"]
    }
    assert run("diff", old, old).output == "No package differs.\n"


def test_a_signed_image_passes_and_every_other_is_refused(archive: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "ours")
    assert run("check", "--archive", archive, "--key", public).exit_code == 1, "not signed yet"
    assert run("sign", "--archive", archive, "--key", private).exit_code == 0
    assert run("check", "--archive", archive, "--key", public).exit_code == 0
    _, foreign = keys(tmp_path, "theirs")
    refused = run("check", "--archive", archive, "--key", foreign, "--json")
    assert json.loads(refused.output)["error"]["code"] == "image_unverified"


@pytest.mark.parametrize("at", [600, 5_000, 25_000, 25_700])
def test_one_flipped_byte_is_refused(archive: Path, tmp_path: Path, at: int) -> None:
    private, public = keys(tmp_path, "ours")
    run("sign", "--archive", archive, "--key", private)
    data = bytearray(archive.read_bytes())
    data[at] ^= 1
    archive.write_bytes(data)
    assert run("check", "--archive", archive, "--key", public).exit_code == 1
