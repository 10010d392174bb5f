"""The entry point: finds the verb's module, and is the one place where errors end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from devstack import __version__
from devstack.cli.context import Context, is_on, variable_of
from devstack.cli.streams import open_streams, settle
from devstack.cli.verbs import ABOUT, MODULES, VERBS
from devstack.errors import DevstackError, InterruptedRunError, PrerequisiteError, StorageError, UsageError
from devstack.output import Output


class Verbs(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in VERBS if name != "ps"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"devstack.cli.{MODULES.get(name, name)}").command
        for option in command.params:
            if isinstance(option, click.Option):
                option.envvar = variable_of(option)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, 1)
            raise UsageError(
                "unknown-verb", f"there is no verb {args[0]!r}", why=f"the nearest is {near[0]}" if near else "",
                fix=f"devstack {near[0]}" if near else "devstack --help",
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, help=ABOUT, subcommand_metavar="VERB [ARG]...", options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="devstack")
def cli() -> None:
    """All verbs."""


def main() -> NoReturn:
    """Run the command line; never returns, never shows a traceback for what a user or a machine can do."""
    open_streams()
    words = _words(sys.argv[1:])
    own = _own(words)
    output = Output(
        json="--json" in own or is_on("DEVSTACK_JSON"),
        verbose=any(word in ("-v", "--verbose") for word in own) or is_on("DEVSTACK_VERBOSE"),
    )
    context = Context(output, words)
    sys.exit(_run(context, words))


def _run(context: Context, words: list[str]) -> int:
    received = _listen_to_signals(context)
    code = 0
    try:
        try:
            code = _execute(context, words)
            if code == 130 and received:
                code = 128 + received[0]
        except DevstackError as error:
            code = error.exit_code
            if isinstance(error, InterruptedRunError) and received:
                error.exit_code = code = 128 + received[0]
            error.fix = context.placed(error.fix)
            if not context.output.is_json:
                error.fix = context.spelled(error.fix)
            context.output.error(error)
    except (BrokenPipeError, SystemExit):
        pass  # the reader (`| head`) has seen enough; click makes an exit of it where a verb hit the closed pipe
    settle()
    return code


def _listen_to_signals(context: Context) -> list[int]:
    """Cancel the run when somebody asks to stop; returns the list that the signals' numbers are put into.

    A handler interrupts the main thread anywhere, within another handler too (a closed terminal hangs up twice): it
    takes no lock, so another thread does the cancelling.
    """
    received: list[int] = []
    reader, writer = os.pipe()

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        is_insisting = sum(number != signal.SIGHUP for number in received) > 1
        context.output.stopping(at_once=is_insisting)
        if is_insisting:
            # asked twice: don't wait for anything more; the next command finds out what is left
            os._exit(128 + number)
        os.write(writer, b"!")

    def cancel() -> None:
        os.read(reader, 1)
        context.system.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return received


def _execute(context: Context, words: list[str]) -> int:
    """Hand over to the verb; click's own ends become codes and errors of ours."""
    if os.environ.get("SUDO_UID") and os.geteuid() == 0:
        raise PrerequisiteError(
            "under-sudo", "devstack doesn't run under sudo", why="what it makes would belong to root",
            fix="run the same command without sudo",
        )
    try:
        code = cli.main(words, prog_name="devstack", standalone_mode=False, obj=context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        context.output.aside("Nothing was done.")
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:
        # what no module has put into better words: still the machine's doing, not a bug
        raise StorageError(
            "system-refused", "the system refused an operation", why=str(error), fix="df -h; then run it again"
        ) from error
    except click.ClickException as error:
        raise UsageError("usage", error.format_message(), fix=f"{_help_command(error)} --help") from None
    return code if isinstance(code, int) else 0


def _help_command(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if isinstance(context, click.Context) else "devstack"


def _words(words: list[str]) -> list[str]:
    """The command line. `bootstrap.py` is also called without a verb: then what it is given is a repository."""
    if "DEVSTACK_BOOTSTRAP" not in os.environ:
        return words
    first = next((word for word in words if not word.startswith("-")), None)
    if first in VERBS or (first is None and any(word in ("-h", "--help", "--version") for word in words)):
        return words
    return ["bootstrap", *words]


def _own(words: list[str]) -> list[str]:
    """The words that are devstack's own: those after `--` are the child's."""
    return words[: words.index("--")] if "--" in words else words
