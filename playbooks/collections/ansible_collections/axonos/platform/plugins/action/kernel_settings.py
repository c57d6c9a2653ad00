"""The action of module `kernel_settings`: runs it inside Ansible where the host is this machine."""

from __future__ import annotations

from ansible_collections.axonos.platform.plugins.plugin_utils.here import ActionModule

__all__ = ["ActionModule"]
