"""How the command line shows itself: help in colour on a terminal and plain elsewhere, `--quiet` in every command.

Help is made without rich, whose import would take longer than everything else.
"""

import inspect
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from codesign.errors import ConfigError

SHELLS = ("bash", "zsh", "fish")
SETTINGS = {"max_content_width": 100}
_NO_LIMIT = 1000
_COMPLETION = ("--install-completion", "--show-completion")
_VARIABLE = "_CODESIGN_COMPLETE"

_BOLD, _CYAN, _RESET = "\x1b[1m", "\x1b[36m", "\x1b[0m"
_PAINTED = (
    (re.compile(r"^(Usage:|[A-Z][a-z]+:$)", re.MULTILINE), _BOLD),
    (re.compile(r"^  ((?:-|[a-z])[\w-]*(?:, --[\w-]+)*)", re.MULTILINE), _CYAN),
    (re.compile(r"(`[^`\n]+`)"), _CYAN),
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]


def takes_colour(stream: TextIO) -> bool:
    """It is a terminal that can, and nobody asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def painted(text: str) -> str:
    """Headings bold; commands, options and what stands in backticks in cyan, without the backticks."""
    for pattern, colour in _PAINTED:
        text = pattern.sub(lambda found, colour=colour: _in(colour, found), text)  # type: ignore[misc]
    return text


def _in(colour: str, found: re.Match[str]) -> str:
    before = found.group()[: found.start(1) - found.start()]
    return f"{before}{colour}{found.group(1).strip('`')}{_RESET}"


class Command(TyperCommand):
    """A command whose help is painted where that shows."""

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        return _shown(super().get_help(ctx))


class Group(TyperGroup):
    """All commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What stands before the command."""
        for option in self.get_params(ctx):
            if option.default is None:
                option.default = False  # all are flags; of None a validator would be made, which imports pydantic
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """The whole help."""
        return _shown(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Each command with the whole first sentence of its help, over several lines where it is long."""
        rows = [(name, command.get_short_help_str(_NO_LIMIT)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _shown(text: str) -> str:
    return painted(text) if takes_colour(sys.stdout) else text


def folded(line: str, indent: int) -> str:
    """A line of a table in the width of the terminal, its last column below itself; elsewhere the line as it is."""
    if not sys.stdout.isatty():
        return line
    columns = max(shutil.get_terminal_size().columns, indent + 30)
    return textwrap.fill(line, columns, subsequent_indent=" " * indent, drop_whitespace=True, break_on_hyphens=False)


def finished(app: typer.Typer) -> None:
    """Give every command of the application that look, and a `--quiet` of its own beside the one before the command."""
    for info in app.registered_commands:
        assert info.callback is not None
        info.cls, info.callback = Command, _hushing(info.callback)
        info.context_settings = SETTINGS


def _hushing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with one more option."""

    @wraps(command)
    def run(*arguments: Any, quiet: bool, **options: Any) -> Any:
        from codesign.progress import console

        console.quiet = console.quiet or quiet
        return command(*arguments, **options)

    signature = inspect.signature(command)
    option = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "quiet": Quiet}
    return run


def completion(arguments: list[str]) -> bool:
    """Do what `--show-completion SHELL` and `--install-completion SHELL` ask for; False where no shell is named.

    Without a shell typer asks the one that is running. Raises ConfigError for a shell that is not known.
    """
    if len(arguments) != 2 or arguments[0] not in _COMPLETION or arguments[1].startswith("-"):
        return False
    option, shell = arguments
    if shell not in SHELLS:
        raise ConfigError(f"{option} {shell}: expected one of {', '.join(SHELLS)}")
    from typer.completion import get_completion_script, install  # type: ignore[attr-defined]

    if option == "--show-completion":
        typer.echo(get_completion_script(prog_name="codesign", complete_var=_VARIABLE, shell=shell))
    else:
        _, path = install(shell, "codesign", _VARIABLE)
        typer.echo(f"completion for {shell}: {path}, which the next shell reads")
    return True
