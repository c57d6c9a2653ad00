"""What can go wrong with an image, said to the operator."""

from __future__ import annotations


class ImageError(Exception):
    """The desktop image has a problem."""

    code = "image_error"


class BuildFailed(ImageError):
    """The desktop image could not be built."""

    code = "image_build_failed"


class VerifyFailed(ImageError):
    """The desktop image could not be tried out."""

    code = "image_verify_failed"
