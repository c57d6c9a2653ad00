"""A desktop that waited, on the real image: whoever gets it can't tell it from one that was started for them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desktop_kit import SHOTS
from PIL import Image, ImageChops
from platform_kit import Platform

from controller import rfb
from controller.selfcheck.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
POOL_S = 180
LONGER_THAN_RESTARTS_S = 5
CLOCK_PLACE = (1000, 0, 1280, 80)  # the panel's clock differs by itself
PANEL = 60
# Every process's folder and open files, as (where, device); and how often something is mounted at the home.
HELD = """
import json, os
held = set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    for kind in ("cwd", "root"):
        try:
            path = f"/proc/{pid}/{kind}"
            held.add((os.readlink(path), os.stat(path).st_dev))
        except OSError:
            pass
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{fd}"
            if os.readlink(path).startswith("/home"):
                held.add((os.readlink(path), os.stat(path).st_dev))
    except OSError:
        pass
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
print(json.dumps({"held": sorted(held), "home": os.stat("/home/axon").st_dev, "root": os.stat("/").st_dev,
                  "mounts": sorted(m for m in mounts if m.startswith("/home"))}))
"""


@pytest.fixture(scope="module")
def visitor(platform: Platform) -> Iterator[Visitor]:
    """Somebody with credit for a few launches."""
    with Visitor(platform.origin) as made:
        made.sign_in()
        made.take_play_money()
        made.wait_credited(made.pay_minimum(times=4))
        yield made


class Desktop:
    """A launched desktop, by HTTP and by its container."""

    def __init__(self, platform: Platform, visitor: Visitor, profile: str, kind: str) -> None:
        if kind == "warm":
            visitor.wait("a waiting desktop", lambda: waiting(visitor, profile) > 0, POOL_S)
        self._visitor, self.id = visitor, visitor.launch(profile)
        visitor.wait_running()
        story = json.loads(platform.axonos("sessions", "show", self.id, "--json").stdout)
        self.start = next(run for run in story["runs"] if run["playbook"] == "session_start.yml")
        assert self.start["start"] == kind
        self.container = f"axonos-{platform.settings.instance}-{story['slot']}"

    def inside(self, *command: str) -> str:
        return docker("exec", self.container, *command)

    def look(self, name: str) -> Image.Image:
        """What the person sees, kept as a picture."""

        async def picture() -> Image.Image:
            given = self._visitor.post(f"sessions/{self.id}/stream")
            stream = await rfb.open_stream(given["gateway_url"], given["ticket"], self._visitor.origin)
            async with stream as desktop:
                await rfb.wait_painted(desktop)
                await asyncio.sleep(1)
                await desktop.update(incremental=False)
                return desktop.image()

        found = asyncio.run(asyncio.wait_for(picture(), 60))
        SHOTS.mkdir(parents=True, exist_ok=True)
        found.save(SHOTS / f"{name}.png")
        return found

    def end(self) -> None:
        self._visitor.end(self.id)


def waiting(visitor: Visitor, profile: str) -> int:
    return next(int(p["waiting"]) for p in visitor.get("profiles")["profiles"] if p["name"] == profile)


def panel_height(screen: Image.Image) -> int:
    """Rows from the top that have the panel's colour at a place where nothing stands on it."""
    colour = screen.getpixel((700, 2))
    return next(y for y in range(screen.height) if screen.getpixel((700, y)) != colour)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ, the clock aside."""
    for screen in (one, other):
        screen.paste((0, 0, 0), CLOCK_PLACE)
    changed = ImageChops.difference(one, other).convert("L").point(lambda level: 255 if level > 24 else 0)
    return changed.histogram()[255] / (one.width * one.height)


def nothing_left(desktop: Desktop) -> None:
    """No process holds on to the home that was nobody's."""
    found: dict[str, Any] = json.loads(desktop.inside("python3", "-c", HELD))
    assert found["mounts"] == ["/home", "/home/axon"]
    allowed = {("/home/axon", found["home"]), ("/", found["root"])}
    assert {(where, device) for where, device in found["held"]} <= allowed


def stray_settings_daemon(platform: Platform) -> None:
    """In each desktop that waits, as a slow machine may leave it: somebody asked for settings once more."""
    mine = ("--filter", f"name=axonos-{platform.settings.instance}-s-", "--filter", "status=paused")
    for name in docker("ps", "--format", "{{.Names}}", *mine).split():
        docker("unpause", name)
        docker("exec", name, "xfconf-query", "--list")
        docker("pause", name)


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def test_it_is_mine_and_nothing_of_the_wait_is_left(platform: Platform, visitor: Visitor) -> None:
    desktop = Desktop(platform, visitor, "small", "warm")
    try:
        nothing_left(desktop)
        home = platform.home(visitor.wallet)
        assert (home / ".config/xfce4/panel/launcher-5/xfce4-terminal.desktop").is_file()
        before = panel_height(desktop.look("warm-fresh"))
        change = ("xfconf-query", "-c", "xfce4-panel", "-p", "/panels/panel-1/size", "-s", str(PANEL))
        desktop.inside(*change)
        assert panel_height(desktop.look("warm-larger-panel")) > before, "programs hear of changed settings"
        said = desktop.inside("bash", "-ic", "echo $HOME $LD_PRELOAD; pwd")
        assert said.split() == ["/home/axon", "/"]
    finally:
        desktop.end()
    saved = home / ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
    assert f'value="{PANEL}"' in saved.read_text()


def test_a_settings_daemon_of_the_wait_does_not_come_along(platform: Platform, visitor: Visitor) -> None:
    visitor.wait("a waiting desktop", lambda: waiting(visitor, "small") > 0, POOL_S)
    stray_settings_daemon(platform)
    desktop = Desktop(platform, visitor, "small", "warm")
    try:
        nothing_left(desktop)
        until = time.monotonic() + LONGER_THAN_RESTARTS_S
        while time.monotonic() < until:
            desktop.inside("xfconf-query", "--list")
            time.sleep(0.5)
    finally:
        desktop.end()


def test_my_own_settings_look_the_same_warm_and_cold(platform: Platform, visitor: Visitor) -> None:
    """The home of the test before, with a larger panel, and files on the desktop that show as icons."""
    home = platform.home(visitor.wallet)
    channel = Path(home, ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-desktop.xml")
    channel.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><channel name="xfce4-desktop" version="1.0">'
        '<property name="desktop-icons" type="empty"><property name="style" type="int" value="2"/></property>'
        "</channel>"
    )
    (home / "Desktop" / "mine.txt").write_text("mine")
    seen = []
    for profile, kind in (("small", "warm"), ("medium", "cold")):
        desktop = Desktop(platform, visitor, profile, kind)
        try:
            seen.append(desktop.look(f"own-settings-{kind}"))
        finally:
            desktop.end()
    warm, cold = seen
    assert panel_height(warm) == panel_height(cold) == PANEL
    assert difference(warm, cold) < 0.002
