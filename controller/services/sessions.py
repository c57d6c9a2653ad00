"""Sessions as pages, API and command line ask for them; the work is in the modules beside this one."""

from __future__ import annotations

from controller.services.beats import heartbeat
from controller.services.claims import accept, claim, profiles
from controller.services.ends import end
from controller.services.gpu_choice import models as gpu_models
from controller.services.idle import choose as choose_idle
from controller.services.idle import choose_for_all as choose_idle_for_all
from controller.services.presence import Tab, attach, close, detach, stream
from controller.services.queue_outlook import outlook
from controller.services.queue_picture import drawn
from controller.services.session_reads import current, saved
from controller.services.session_views import Meter, ProfileView, SavedView, SessionView, StreamView

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
