"""The `kwsctl` command: registers the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, cast

import typer

from kwsctl import __version__
from kwsctl.cli import (
    adapt,
    bench,
    console,
    data,
    demo,
    doctor,
    enroll,
    evaluate,
    export,
    federate_deploy,
    listen,
    report,
    train,
    users,
    verify,
)
from kwsctl.errors import InputError, KwsctlError

# Typer brings its own click and exports only this subclass.
UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])

app = typer.Typer(
    name="kwsctl",
    help="Train a wake word, make it personal, and take it to the device.",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GOES_ON = ("train", "federate", "adapt", "demo", "data prepare")
"""Commands that keep what they have done, and go on from there."""

# In the order of a wake word's life; groups come last on the help page.
app.command("train")(train.train_command)
app.command("enroll")(enroll.enroll_command)
app.command("adapt")(adapt.adapt_command)
app.command("verify")(verify.verify_command)
app.command("export")(export.export_command)
app.command("listen")(listen.listen_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("report")(report.report_command)
app.command("demo")(demo.demo_command)
app.command("doctor")(doctor.doctor_command)
app.add_typer(federate_deploy.app, name="federate")
app.add_typer(data.app, name="data")
app.add_typer(users.app, name="users")
app.add_typer(bench.app, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kwsctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Train a wake word, make it personal, and take it to the device.

    Without a command it tells where you are, and what makes sense next.
    """
    if context.invoked_subcommand is None:
        from kwsctl.home import home
        from kwsctl.report.standing_table import standing_table
        from kwsctl.standing import standing

        console.show(standing(home()), as_json=False, render=standing_table)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits.

    Args:
        arguments: what follows `kwsctl`; by default the process's own.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(arguments, prog_name="kwsctl", standalone_mode=False)
    except KwsctlError as error:
        if "--debug" in arguments:
            raise
        sys.exit(console.fail(error))
    except UsageError as error:
        if not error.format_message():  # no command was given: the help page has been printed
            sys.exit(InputError.exit_code)
        hint = f"Try: {error.ctx.command_path} --help" if error.ctx else "Try: kwsctl --help"
        sys.exit(console.fail(InputError(error.format_message(), hint)))
    except (KeyboardInterrupt, typer.Abort):
        code = console.EXIT_INTERRUPTED
    if code == console.EXIT_INTERRUPTED and arguments[:1] != ["adapt"]:  # which tells more itself
        console.note(_interrupted(arguments))
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted(arguments: list[str]) -> str:
    """Says what is left of a command that was stopped, and how to go on."""
    typed = shlex.join(["kwsctl", *arguments])
    if " ".join(arguments).startswith(GOES_ON):
        return f"Interrupted. What was done is kept; the same command goes on: {typed}"
    return f"Interrupted. Nothing was left half-done; begin again: {typed}"
