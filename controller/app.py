"""The web process: `create_app` for tests and tools, `wsgi` for gunicorn. Stateless: run any number."""

from __future__ import annotations

import sys

from flask import Flask

from controller.adapters.local_chain import LocalChain
from controller.adapters.wiring import check_files, make_deps
from controller.errors import SettingsInvalid
from controller.services.deps import Deps
from controller.services.pricing import payment_addresses
from controller.settings import load_settings
from controller.web import register

# gunicorn's word for "do not start another one": it stops instead of trying for ever.
APP_LOAD_ERROR = 4
# A thread that has waited for the database gets its turn after this, not after 5 ms: it may hold locks.
SWITCH_S = 0.0005


def create_app(deps: Deps) -> Flask:
    """The site on the given ports.

    Raises:
        SettingsInvalid: files it needs are missing; the message lists all of them.
    """
    settings = deps.settings
    check_files(settings)
    app = Flask("controller.web", template_folder="templates", static_folder="static")
    local = settings.local
    register(app, deps, LocalChain(settings.chain.rpc_urls[0], local.faucet_key) if local else None)
    return app


def wsgi() -> Flask:
    """What gunicorn loads; problems of the settings end the start, all of them listed."""
    try:
        settings = load_settings()
        check_files(settings)
        app = create_app(make_deps(settings))
    except SettingsInvalid as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(APP_LOAD_ERROR)
    sys.setswitchinterval(SWITCH_S)
    sys.stderr.write(f"{payment_addresses.told(settings)}\n")
    return app
