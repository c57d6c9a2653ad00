"""The pages. What moves on them is drawn by the scripts from the same services' JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template
from werkzeug.wrappers import Response

from controller.domain.profiles import GPU_MS_PER_MINUTE
from controller.services import site
from controller.services.money import statement as statements
from controller.services.sessions import facade as sessions
from controller.web.context import deps, number_arg, visitor_or_none, wallet, wallet_or_none
from controller.web.statement_words import readable

ENTRIES = 200
blueprint = Blueprint("pages", __name__)


@blueprint.app_context_processor
def everywhere() -> dict[str, object]:
    """For the frame of every page; a function, since an error page must not ask the database."""
    return {"mode": deps().settings.mode, "signed_in_wallet": wallet_or_none}


@blueprint.app_template_filter("minutes")
def minutes(gpu_ms: int) -> str:
    """GPU-milliseconds as signed minutes with two decimals, cut, never rounded up."""
    sign, hundredths = ("-" if gpu_ms < 0 else ""), abs(gpu_ms) * 100 // GPU_MS_PER_MINUTE
    return f"{sign}{hundredths // 100:,}.{hundredths % 100:02d}"


@blueprint.app_template_filter("utc")
def utc(at_ms: int) -> str:
    """An instant for readers without scripts; scripts rewrite it in the reader's own zone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@blueprint.get("/")
def landing() -> str:
    return render_template(
        "landing.html", config=site.site_config(deps()), profiles=sessions.profiles(deps(), None)
    )


@blueprint.get("/launch")
def launch() -> str:
    return render_template("launch.html", config=site.site_config(deps()))


@blueprint.get("/desktop/<session_id>")
def desktop(session_id: str) -> Response | str:
    if visitor_or_none() is None:
        return redirect("/launch")
    g.stream_origins = site.stream_origins(deps())
    return render_template("desktop.html", session_id=session_id, config=site.site_config(deps()))


@blueprint.get("/keys")
def keys() -> Response | str:
    return redirect("/launch") if visitor_or_none() is None else render_template("keys.html")


@blueprint.get("/tokens")
def tokens() -> Response | str:
    return redirect("/launch") if visitor_or_none() is None else render_template("tokens.html")


@blueprint.get("/files")
def files() -> Response | str:
    if visitor_or_none() is None:
        return redirect("/launch")
    g.stream_origins = site.stream_origins(deps())
    return render_template("files.html", config=site.site_config(deps()))


@blueprint.get("/statement")
def statement() -> Response | str:
    if visitor_or_none() is None:
        return redirect("/launch")
    entries = statements.entries(deps(), wallet(), number_arg("before"), ENTRIES)
    chains = {chain.chain_id: chain.name for chain in deps().settings.chains}
    older = entries[-1].id if len(entries) == ENTRIES else None
    return render_template("statement.html", lines=readable(entries, chains), older=older)


@blueprint.get("/statement/<session_id>")
def session_statement(session_id: str) -> Response | str:
    if visitor_or_none() is None:
        return redirect("/launch")
    lines = statements.windows(deps(), wallet(), session_id[:36], number_arg("before"), ENTRIES)
    older = lines[-1].from_ms if len(lines) == ENTRIES else None
    return render_template("statement_session.html", session=session_id, lines=lines, older=older)
