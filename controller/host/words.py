"""The words a session run fails with, and whether trying again helps. Source: design, section 6."""

from __future__ import annotations

RETRY = {
    "bad_input": "stop",
    "config_conflict": "stop",
    "disk_full": "elsewhere",
    "docker_error": "elsewhere",
    "gpu_busy": "elsewhere",
    "home_broken_off": "here",
    "home_fenced": "stop",
    "home_missing": "stop",
    "home_unmovable": "stop",
    "host_unreachable": "elsewhere",
    "image_broken_off": "here",
    "image_missing": "elsewhere",
    "image_unverified": "stop",
    "no_answer": "elsewhere",
    "no_memory": "elsewhere",
    "not_painted": "elsewhere",
    "stale_token": "stop",
    "timeout": "here",
    "volume_busy": "here",
}


class HostRefused(Exception):
    """The session could not be started or stopped on this host."""

    def __init__(self, code: str, message: str) -> None:
        """Args: one of `RETRY`'s words; a sentence for the operator."""
        self.code = code
        self.message = message
        self.retry = RETRY[code]
        super().__init__(f"{code}: {message}")

    def answer(self) -> dict[str, object]:
        """The refusal as the JSON object the playbook gets."""
        return {"ok": False, "code": self.code, "message": self.message, "retry": self.retry}
