"""The verdict on an image: boot it as a session would be, look at it from all sides, keep a screenshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from images.desktop import checks
from images.desktop.errors import ImageError
from images.desktop.trial import Trial

Check = Callable[[Trial], str]
# In this order: ports and users of the untouched desktop first, its end last.
CHECKS: dict[str, Check] = {
    "painted": checks.check_painted,
    "ports": checks.check_ports,
    "users": checks.check_users,
    "menu": checks.check_menu,
    "notification": checks.check_notification,
    "terminal": checks.check_terminal,
    "firefox_sandbox": checks.check_firefox,
    "jupyterlab": checks.check_jupyterlab,
    "replaced": checks.check_replaced,
    "end": checks.check_end,
}


@dataclass(frozen=True)
class Finding:
    """One check's result."""

    name: str
    ok: bool
    detail: str
    ms: int


@dataclass(frozen=True)
class Verdict:
    """All findings on one image."""

    image_id: str
    ok: bool
    started_ms: int
    painted_ms: int
    stages: dict[str, int]
    screenshot: str
    checks: tuple[Finding, ...]

    def facts(self) -> dict[str, Any]:
        """The verdict as JSON takes it."""
        return asdict(self)


def verify(image: str, screenshot: Path, report: Callable[[Finding], None] = lambda _: None) -> Verdict:
    """Boot an image and check it.

    Args:
        image: an image ID that Docker has.
        screenshot: where the picture of the fresh desktop goes; one with programs lies beside it.
        report: told each finding as it comes.

    Raises:
        VerifyFailed: the image did not come up at all, with the container's last words.
    """
    with Trial(image) as trial:
        checks.screenshot(trial, screenshot)
        findings = []
        for name, check in CHECKS.items():
            if name == "end":
                checks.screenshot(trial, screenshot.with_name(f"{screenshot.stem}-busy.png"))
            finding = _find(name, check, trial)
            report(finding)
            findings.append(finding)
        return Verdict(
            image_id=image,
            ok=all(finding.ok for finding in findings),
            started_ms=round(trial.started_ms),
            painted_ms=trial.ready["painted_ms"],
            stages=trial.ready["stages"],
            screenshot=str(screenshot),
            checks=tuple(findings),
        )


def _find(name: str, check: Check, trial: Trial) -> Finding:
    begin = time.monotonic()
    try:
        detail, ok = check(trial), True
    except ImageError as error:
        detail, ok = str(error), False
    return Finding(name, ok, detail, round((time.monotonic() - begin) * 1000))
