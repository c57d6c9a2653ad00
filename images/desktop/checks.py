"""What a desktop image must show before it is used: each check looks at one running trial.

A check returns a sentence on what it saw, or raises CheckFailed with what is wrong.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from controller.rfb import Desktop, open_socket, painted
from images.desktop import inside
from images.desktop.errors import ImageError
from images.desktop.trial import UID, Trial

STOP_S = 5
SSH_AT = "gpu.example 22022"
# The picture of the menu button, which alone reaches the panel's left edge.
MENU_BUTTON, MENU_COLOURS = (16, 30), 12
WAIT_S = 20
REPLACED_S = 6  # longer than a program that ends at once is started again
T = TypeVar("T")
_TYPED = "/home/axon/typed-by-verify.txt"


class CheckFailed(ImageError):
    """The image does not do what it must."""

    code = "image_check_failed"


def check_painted(trial: Trial) -> str:
    """The start script says painted; the stream, seen as a browser sees it, must agree."""
    screen = asyncio.run(_look(trial)).image()
    if not painted(screen):
        raise CheckFailed("/run/desktop/ready is written, but panel or wallpaper is missing in the stream")
    if trial.ready["assumed"]:
        raise CheckFailed(f"not seen on a fresh desktop: {', '.join(trial.ready['assumed'])}")
    if screen.crop((0, 0, *MENU_BUTTON)).getcolors(MENU_COLOURS) is not None:
        raise CheckFailed("the panel's menu button is missing although the desktop says it is painted")
    return f"painted {trial.ready['painted_ms']} ms after the session began"


async def _look(trial: Trial) -> Desktop:
    async with await open_socket(trial.sockets / "rfb.sock") as desktop:
        await desktop.update(incremental=False)
    return desktop


def screenshot(trial: Trial, file: Path) -> None:
    """Save what the desktop shows now."""
    file.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_look(trial)).image().save(file)


def check_ports(trial: Trial) -> str:
    """A desktop is reached by its unix socket alone."""
    found = json.loads(trial.inside("python3", "-", text=inside.PORTS))
    if found:
        raise CheckFailed(f"listening: {', '.join(found)}")
    return "no TCP or UDP port is open"


def check_users(trial: Trial) -> str:
    """Everything runs as the session's user, without a capability."""
    found: dict[str, list[Any]] = json.loads(trial.inside("python3", "-", text=inside.USERS))
    wrong = [row[0] for row in found.values() if set(row[1:5]) != {UID} or int(row[5], 16)]
    if wrong:
        raise CheckFailed(f"not as uid {UID} or with capabilities: {', '.join(wrong)}")
    return f"{len(found)} processes, all uid {UID} without capabilities"


def check_menu(trial: Trial) -> str:
    """Every entry of the menu opens a window."""
    probe = Path(__file__).with_name("menu_probe.py").read_text()
    rows = [json.loads(line) for line in trial.inside("python3", "-", text=probe).splitlines()]
    dead = [row["name"] for row in rows if not row["ok"]]
    if dead or not rows:
        raise CheckFailed(f"no window from: {', '.join(dead) or 'an empty menu'}")
    slowest = max(rows, key=lambda row: int(row["ms"]))
    return f"{len(rows)} entries open; slowest {slowest['name']}, {slowest['ms']} ms"


def check_terminal(trial: Trial) -> str:
    """Text typed through the stream reaches a shell in the terminal, and the shell's file the home."""
    trial.spawn("xfce4-terminal")
    _wait("a terminal window", lambda: _titles(trial))
    typed = trial.home / Path(_TYPED).name

    async def write() -> None:
        async with await open_socket(trial.sockets / "rfb.sock") as desktop:
            await desktop.type(f"echo works-$((6*7)) > {_TYPED}\n")
            for _ in range(WAIT_S * 20):
                if typed.is_file() and typed.read_text():
                    return
                await asyncio.sleep(0.05)

    asyncio.run(write())
    if not typed.is_file() or typed.read_text() != "works-42\n":
        raise CheckFailed("what was typed into the terminal did not reach the shell")
    return "a command typed through the stream wrote its file"


def check_firefox(trial: Trial) -> str:
    """Firefox's content processes sit in namespaces of their own, with a filter on top of the container's."""
    trial.spawn("firefox-esr", "about:support")
    rows = _wait("a Firefox content process", lambda: _sandboxed(trial))
    return f"{len(rows)} content processes in user and network namespaces of their own, filtered"


def _sandboxed(trial: Trial) -> list[dict[str, Any]]:
    """Content processes once all of them are sandboxed; they are not in their first moments."""
    found = json.loads(trial.inside("python3", "-", text=inside.FIREFOX))
    parents = [row for row in found if row["kind"].startswith("firefox")]
    content = [row for row in found if row["kind"] == "tab"]
    safe = [
        row
        for row in content
        for parent in parents[:1]
        if row["user"] != parent["user"]
        and row["net"] != parent["net"]
        and row["filters"] > parent["filters"]
    ]
    return safe if content and len(safe) == len(content) else []


def check_notification(trial: Trial) -> str:
    """The platform's warnings appear on the desktop."""
    before = asyncio.run(_look(trial)).image()
    trial.inside("/usr/libexec/axonos/notify", "critical", "3 minutes left <verify> & more")
    corner = (before.width // 2, 40, before.width, before.height // 4)

    def changed() -> bool:
        return asyncio.run(_look(trial)).image().crop(corner).tobytes() != before.crop(corner).tobytes()

    _wait("a notification on the screen", changed)
    return "a critical warning is shown"


def check_jupyterlab(trial: Trial) -> str:
    """JupyterLab is one command away in a shell: it answers with the token that command says, else not."""
    said = trial.inside("env", f"AXONOS_SSH_AT={SSH_AT}", "axonos-jupyter")
    if "-p 22022 axon@gpu.example" not in said:
        raise CheckFailed(f"axonos-jupyter does not say how it is reached: {said.strip()[:200]}")
    found = json.loads(trial.inside("python3", "-", said.split()[-1], text=inside.JUPYTERLAB))
    if found != [200, 403]:
        raise CheckFailed(f"JupyterLab answers {found} with and without its token")
    return "axonos-jupyter starts it and says how to open it; without its token it is shut"


def check_replaced(trial: Trial) -> str:
    """Programs of the desktop that somebody replaced by hand do not take the session with them."""
    trial.inside("python3", "-", text=inside.REPLACE)
    until = time.monotonic() + REPLACED_S
    while time.monotonic() < until:
        if not trial.running():
            raise CheckFailed(f"the session ended when programs were replaced: {trial.log()[-300:]}")
        time.sleep(0.2)
    if "xsettings" not in trial.inside("xfconf-query", "--list"):
        raise CheckFailed("nobody serves the desktop's settings after their daemon was replaced")
    return "settings daemon and window manager were replaced, and the session goes on"


def check_end(trial: Trial) -> str:
    """SIGTERM ends the session in time and cleanly."""
    took, status = trial.stop(STOP_S + 2)
    if took > STOP_S + 0.5 or status != 0:
        raise CheckFailed(f"SIGTERM took {took:.1f} s and left exit status {status}")
    return f"ended {took:.1f} s after SIGTERM"


def _titles(trial: Trial) -> list[str]:
    titles: list[str] = json.loads(trial.inside("python3", "-", text=inside.WINDOWS))
    return [title for title in titles if title not in {"Desktop", "xfce4-panel"}]


def _wait(what: str, look: Callable[[], T]) -> T:
    """Look until there is something to see."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if seen := look():
            return seen
        time.sleep(0.1)
    raise CheckFailed(f"{what} did not appear within {WAIT_S} s")
