"""Sessions as pages, API and command line ask for them; the work is in the modules beside this one."""

from __future__ import annotations

from controller.services.deps import Deps
from controller.services.session_views import Meter, ProfileView, SavedView, SessionView, StreamView

__all__ = [
    "Meter",
    "ProfileView",
    "SavedView",
    "SessionView",
    "StreamView",
    "attach",
    "claim",
    "close",
    "current",
    "detach",
    "end",
    "heartbeat",
    "profiles",
    "saved",
    "stream",
]


def profiles(deps: Deps, wallet: str | None) -> list[ProfileView]:
    """The profile picker, smallest first, with how long this wallet's balance lasts on each."""
    raise NotImplementedError


def claim(deps: Deps, wallet: str, profile: str, *, fresh_start: bool = False) -> SessionView:
    """Claim a session: starts at once, or a place in the queue."""
    raise NotImplementedError


def current(deps: Deps, wallet: str) -> SessionView | None:
    """The wallet's live session, queued to ending."""
    raise NotImplementedError


def saved(deps: Deps, wallet: str) -> SavedView | None:
    """What the resume panel offers when nothing is live."""
    raise NotImplementedError


def heartbeat(deps: Deps, wallet: str, session_id: str) -> Meter:
    """A page is watching: presence, and settlement up to now."""
    raise NotImplementedError


def detach(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """Leave the desktop running, and billed."""
    raise NotImplementedError


def attach(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """Return to the desktop; a close beacon of the last 45 s is taken back."""
    raise NotImplementedError


def close(deps: Deps, wallet: str, session_id: str) -> SessionView:
    """The close beacon: ends the session at this instant unless somebody returns within the window."""
    raise NotImplementedError


def end(deps: Deps, wallet: str, session_id: str, reason: str = "ended by you") -> SessionView:
    """End the session, or leave the queue."""
    raise NotImplementedError


def stream(deps: Deps, wallet: str, session_id: str) -> StreamView:
    """A fresh single-use ticket for the session's stream."""
    raise NotImplementedError
