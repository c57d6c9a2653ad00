"""Pages and JSON API: each view parses, calls one service and renders. No rule lives here."""

from controller.web.site import register

__all__ = ["register"]
