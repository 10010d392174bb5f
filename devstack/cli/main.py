"""The entry point: finds the verb's module, and is the one place where errors end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from devstack import __version__
from devstack.cli.context import Context
from devstack.errors import DevstackError, InterruptedRunError, PrerequisiteError, StorageError, UsageError
from devstack.output import Output

#: verb → module (where they differ) and the line that `--help` shows, so that it need load none of them
VERBS = {
    "bootstrap": "Clone a project and bring its whole stack up",
    "up": "Converge to everything running and ready",
    "down": "Stop everything, keep the data",
    "status": "What runs, where, ready or why not",
    "ps": "The same as status",
    "urls": "Where everything is",
    "logs": "What services and processes print",
    "attach": "Reach a process's output and stdin, such as a breakpoint",
    "restart": "Stop and start services or processes",
    "run": "Run a task of the profile",
    "exec": "Run a command in the project's environment",
    "check": "Run the project's checks in its environment",
    "plan": "What `up` would do, and why; changes nothing",
    "list": "Every stack on this machine",
    "trust": "Allow this repository's commands to run",
}
_MODULES = {"ps": "status", "exec": "exec_", "list": "list_"}


class Verbs(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in VERBS if name != "ps"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"devstack.cli.{_MODULES.get(name, name)}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, 1)
            raise UsageError(
                "unknown-verb", f"there is no verb {args[0]!r}", why=f"the nearest is {near[0]}" if near else "",
                fix=f"devstack {near[0]}" if near else "devstack --help",
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, subcommand_metavar="VERB [ARG]...", options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="devstack")
def cli() -> None:
    """From a git URL to a running, checked stack.

    `python3 bootstrap.py GIT_URL` clones a project, builds its environment, provisions its services and launches its
    processes; every verb below then works anywhere inside the project.
    """


def main() -> NoReturn:
    """Run the command line; never returns, never shows a traceback for what a user or a machine can do."""
    _open_streams()
    words = _words(sys.argv[1:])
    output = Output(json="--json" in _own(words), verbose=any(word in ("-v", "--verbose") for word in _own(words)))
    context = Context(output, words)
    sys.exit(_run(context, words))


def _open_streams() -> None:
    """Called with `>&-` or the like there is no stream at all: nothing is said then, and no file becomes stdout."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


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
            if not context.output.is_json:
                error.fix = context.spelled(error.fix)
            context.output.error(error)
    except (BrokenPipeError, SystemExit):
        pass  # the reader (`| head`) has seen enough; click makes an exit of it where a verb hit the closed pipe
    _settle()
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


def _settle() -> None:
    """What could not be written is dropped, so that Python doesn't try again, and complain, at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
