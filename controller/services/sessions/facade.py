"""Sessions as pages, API and command line ask for them; the work is in the modules beside this one."""

from __future__ import annotations

from controller.services.queue.claims import accept, claim, profiles
from controller.services.queue.gpu_choice import models as gpu_models
from controller.services.queue.outlook import outlook
from controller.services.queue.picture import drawn
from controller.services.sessions.beats import heartbeat
from controller.services.sessions.ends import end
from controller.services.sessions.idle import choose as choose_idle
from controller.services.sessions.idle import choose_for_all as choose_idle_for_all
from controller.services.sessions.presence import Tab, attach, close, detach, stream
from controller.services.sessions.reads import current, saved
from controller.services.sessions.views import Meter, ProfileView, SavedView, SessionView, StreamView

__all__ = [
    "Meter",
    "ProfileView",
    "SavedView",
    "SessionView",
    "StreamView",
    "Tab",
    "accept",
    "attach",
    "choose_idle",
    "choose_idle_for_all",
    "claim",
    "close",
    "current",
    "detach",
    "drawn",
    "end",
    "gpu_models",
    "heartbeat",
    "outlook",
    "profiles",
    "saved",
    "stream",
]
