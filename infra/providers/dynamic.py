"""The plugin behind Pulumi's dynamic resources: `python -m pulumi.dynamic`, ending with its engine."""

from __future__ import annotations

import runpy

from infra.providers.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("pulumi.dynamic", run_name="__main__")
