"""Signs an image by its ID with the platform's Ed25519 key, and checks that before the image is loaded.

The ID is the SHA-256 of the image's configuration, which names every layer: one flipped byte is another ID.
What is signed names its purpose, so that no other signature of the same key can stand in for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import tarfile
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from images.desktop.errors import ImageError

NAME = "desktop.sig"
_PURPOSE = "axonos-image-v1 "
_ID = re.compile(r"sha256:[0-9a-f]{64}")


class ImageUnverified(ImageError):
    """The image is not signed by the platform's key, or is not the image that was signed."""

    code = "image_unverified"


def sign(image_id: str, key: Path) -> str:
    """The signature of an image ID, base64.

    Raises:
        ImageUnverified: the key cannot be used.
    """
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ImageUnverified(f"{key} is no private key: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ImageUnverified(f"{key} is no Ed25519 key.")
    return base64.b64encode(private.sign(_words(image_id))).decode()


def check(archive: Path, signature: str, key: Path) -> str:
    """The ID of the image in an archive, computed from its content and signed by the key.

    Raises:
        ImageUnverified: anything else.
    """
    try:
        public = load_pem_public_key(key.read_bytes())
        found = content_id(archive)
        assert isinstance(public, Ed25519PublicKey)
        public.verify(base64.b64decode(signature.strip(), validate=True), _words(found))
    except InvalidSignature:
        raise ImageUnverified(
            f"{archive} is not the image that was signed, or another key signed it."
        ) from None
    except (OSError, ValueError, KeyError, AssertionError, binascii.Error) as error:
        raise ImageUnverified(f"{archive} could not be checked: {error}") from error
    return found


def content_id(archive: Path) -> str:
    """The ID of the image in an archive, from the bytes of its configuration and of its layers.

    Raises:
        ImageUnverified: it is no archive of one image, or a layer is not the one its configuration names.
    """
    try:
        with tarfile.open(archive) as tar:
            (entry,) = json.loads(_member(tar, "manifest.json").read())
            config = _member(tar, entry["Config"]).read()
            layers = [f"sha256:{_digest(_member(tar, name))}" for name in entry["Layers"]]
        named = json.loads(config)["rootfs"]["diff_ids"]
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        raise ImageUnverified(f"{archive} is no archive of one image: {error!r}") from error
    if layers != named:
        raise ImageUnverified(f"{archive}: a layer is not the one that its configuration names.")
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found


def _digest(content: IO[bytes]) -> str:
    return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type] # a file like others


def _words(image_id: str) -> bytes:
    if not _ID.fullmatch(image_id):
        raise ImageUnverified(f"{image_id[:80]!r} is no image ID.")
    return (_PURPOSE + image_id).encode()
