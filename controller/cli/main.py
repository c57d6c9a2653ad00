"""`axonos`: commands are found by entry point and loaded when they are used.

Exit codes: 0 done; 1 it failed, the message says why; 2 wrong usage or configuration; 3 refused, what was
asked for cannot be had; 4 something it needs cannot be reached, try again; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint, entry_points

import click

from controller.errors import AxonosError, Refused, SettingsInvalid, Unavailable

GROUP = "axonos.commands"
EXIT_CODES = """\b
Exit codes:
  0    done
  1    it failed; the message says why
  2    wrong usage, or a problem in the configuration
  3    refused: what was asked for cannot be had
  4    something it needs cannot be reached; try again
  130  interrupted
"""


class Commands(click.Group):
    """The commands of the entry-point group; importing one does not import the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        del ctx
        return sorted(name for name in _found() if "." not in name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; None for a name that is none."""
        del ctx
        point = _found().get(cmd_name)
        if point is None:
            return None
        loaded = point.load()
        assert isinstance(loaded, click.Command)
        if isinstance(loaded, click.Group):
            _add_from_elsewhere(loaded, cmd_name)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line each; a command that cannot be loaded does not hide the others."""
        rows = []
        for name in self.list_commands(ctx):
            try:
                command = self.get_command(ctx, name)
                rows.append((name, command.get_short_help_str(80) if command else ""))
            except ImportError as error:
                rows.append((name, f"(not available: {error})"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _add_from_elsewhere(group: click.Group, its_name: str) -> None:
    """`image.push` is a command of the group `image`, from another package."""
    for name, point in _found().items():
        if name.startswith(f"{its_name}."):
            group.add_command(point.load(), name.partition(".")[2])


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def exit_code(error: AxonosError) -> int:
    """The documented exit status of an error."""
    if isinstance(error, SettingsInvalid):
        return 2
    if isinstance(error, Unavailable):
        return 4
    return 3 if isinstance(error, Refused) else 1


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="axonos")
def axonos() -> None:
    """GPU desktops paid by the minute: stand the platform up, look at it, take it down.

    Every command takes --json for machines and --help for people.
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry of the `axonos` program; exits with a documented status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = axonos.main(args=given, prog_name="axonos", standalone_mode=False)
    except AxonosError as error:
        _say(error, as_json="--json" in given)
        sys.exit(exit_code(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _say(error: AxonosError, *, as_json: bool) -> None:
    """The message for people on stderr; the same as an object on stdout for machines."""
    if as_json:
        body = {"code": error.code, "message": error.message, "retry": error.retry, **error.detail}
        click.echo(json.dumps({"error": body}, default=str))
    click.echo(f"axonos: {error.message}", err=True)
