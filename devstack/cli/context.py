"""What every verb starts from, and the flags that verbs share."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from devstack.cli.calling import prefix
from devstack.errors import UsageError
from devstack.system import System

if TYPE_CHECKING:
    from devstack.output import Output
    from devstack.profile.model import Ask
    from devstack.stack import Options, Stack
    from devstack.stack.trusting import Request

F = TypeVar("F", bound=Callable[..., Any])
#: `devstack up`, `cd shop && DEVSTACK_ENV_A=b devstack up`
_DEVSTACK = re.compile(
    r"(?P<cd>cd (?P<folder>.+?) && )?(?P<env>(?:DEVSTACK_\w+=\S+ )*)devstack (?P<verb>.*)", re.DOTALL
)
#: `icu = true below [services.postgres]; devstack up`
_AFTERWARDS = re.compile(rf"(?P<before>.+?(?:; |then: ))(?P<command>{_DEVSTACK.pattern})", re.DOTALL)


def _parted(fix: str) -> tuple[str, str]:
    """What is to be done before the first command of devstack's, such as an edit of the profile, and the command."""
    found = None if _DEVSTACK.fullmatch(fix) else _AFTERWARDS.fullmatch(fix)
    return (found["before"], found["command"]) if found else ("", fix)


class Context:
    """One invocation. words: the command line after the command's name."""

    def __init__(self, output: Output, words: Sequence[str] = ()) -> None:
        self.output = output
        self.words = words
        self.system = System()
        #: of the project that this command is about, once that is known
        self.root: Path | None = None
        self._began = self.system.monotonic()
        self._awaited = 0.0

    @property
    def took(self) -> float:
        """Seconds since the command began, without those that a person was asked in."""
        return self.system.monotonic() - self._began - self._awaited

    def stack(self, root: Path | None = None, **flags: Any) -> Stack:
        """The stack of the project that this command is run in."""
        from devstack.stack import Stack

        self.root = root or self._found(flags.get("profile", ""))
        return Stack(self.system, self.root, self.options(**flags))

    def _found(self, given: str) -> Path:
        """The project that this is typed in. given: a profile. Raises UsageError."""
        from devstack.stack.paths import checkout, find_root

        try:
            return find_root(self.here(), given)
        except UsageError:
            self.root = checkout(self.here().resolve())
            if self.root is None:
                raise
            # a repository that could be one: what it is says more than that it isn't
            from devstack.stack.suggestion import no_profile

            raise no_profile(self.root) from None

    def here(self) -> Path:
        try:
            return Path.cwd()
        except FileNotFoundError:
            raise UsageError("no-folder", "the current folder is gone", why="it was deleted", fix="cd") from None

    def options(self, **flags: Any) -> Options:
        from devstack.stack import Options

        current = click.get_current_context(silent=True)
        if current is not None and current.get_parameter_source("runtime") is ParameterSource.ENVIRONMENT:
            # the variable is a layer of its own below the flag, for verbs without the flag too
            flags["runtime"] = ""
        asks = self.output.is_interactive
        return Options(verbose=self.output.verbose, ask=self.ask if asks else lambda name, question: None,
                       ask_trust=self._ask_trust if asks else None,
                       ask_consent=self._ask_consent if asks else None, **flags)  # fmt: skip

    def prefix(self, folder: Path) -> str:
        """How the person calls devstack in this folder, for the commands that are printed."""
        return prefix(str(folder))

    def placed(self, fix: str) -> str:
        """A printed command as it works in this folder: the project may have been cloned elsewhere."""
        before, command = _parted(fix)
        found = _DEVSTACK.fullmatch(command)
        # what names a repository works anywhere
        is_anywhere = found and found["verb"].startswith("bootstrap ") and not found["verb"].startswith("bootstrap . ")
        if self.root is None or found is None or is_anywhere:
            return fix
        here, root = Path(os.curdir).absolute(), self.root.resolve()
        # these take the folder that they are typed in for the project, others look above it too
        is_fixed = found["verb"].startswith(("bootstrap . ", "init"))
        if not found["cd"] and (root == here.resolve() or (not is_fixed and root in here.resolve().parents)):
            return fix
        folder = self.root / (shlex.split(found["folder"])[0] if found["cd"] else "")
        place = shlex.quote(os.path.relpath(folder, here))
        return f"{before}cd {place} && {command.removeprefix(found['cd'] or '')}"

    def spelled(self, fix: str) -> str:
        """A printed command as this person can call it: `devstack` may not be on their PATH."""
        before, command = _parted(fix)
        found = _DEVSTACK.fullmatch(command)
        if found is None:
            return fix
        folder = shlex.split(found["folder"])[0] if found["cd"] else os.curdir
        prefix = self.prefix(Path(folder).absolute())
        # without a verb, bootstrap.py takes what it is given for a repository
        verb = found["verb"] if prefix == "devstack" else found["verb"].removeprefix("bootstrap ")
        verb = verb.replace("; devstack ", f"; {prefix} ")
        return f"{before}{found['cd'] or ''}{found['env']}{prefix} {verb}"

    def confirm(self, question: str) -> bool:
        from devstack.cli import questions

        with self._waiting():
            return questions.confirm(self.system, question)

    def ask(self, name: str, question: Ask) -> str | None:
        from devstack.cli import questions

        with self._waiting():
            return questions.value(self.system, f"{question.ask} ({name})", secret=question.secret)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        began = self.system.monotonic()
        try:
            yield
        finally:
            self._awaited += self.system.monotonic() - began

    def _ask_trust(self, request: Request) -> bool:
        self.output.trust_summary(request)
        return self.confirm("Trust it?")

    def _ask_consent(self, command: tuple[str, ...]) -> bool:
        self.output.say(f"There is no other way to this server than: {shlex.join(command)}")
        return self.confirm("Run it?")


pass_context = click.make_pass_decorator(Context)


def variable_of(option: click.Option) -> str | None:
    """The variable that mirrors a flag of any verb: `DEVSTACK_NEW_PORTS` for `--new-ports`."""
    if option.is_eager:
        return None
    name = max(option.opts, key=len)
    return f"DEVSTACK_{name.lstrip('-').replace('-', '_').upper()}"


def is_on(variable: str) -> bool:
    """Whether a variable that mirrors a flag says yes; what is neither yes nor no, click refuses."""
    return os.environ.get(variable, "").strip().lower() in ("1", "true", "t", "yes", "y", "on")


def common(function: F) -> F:
    """`--json` and `-v`, which `main` has read already: here they are accepted and shown in `--help`."""
    function = click.option("--json", "_json", is_flag=True, help="One JSON document on stdout.", expose_value=False)(
        function
    )
    return click.option("-v", "--verbose", is_flag=True, help="Explain more.", expose_value=False)(function)


def stack_flags(function: F) -> F:
    """Which profile and which runtime."""
    return click.option(
        "--runtime", default="", type=click.Choice(["", "auto", "docker", "native"]),
        metavar="auto|docker|native", help="Where services run.",
    )(profile_flag(function))


def profile_flag(function: F) -> F:
    """Which profile."""
    return click.option(
        "--profile", default="", metavar="NAME|PATH",
        help="A shipped profile or a file, instead of the project's own.",
    )(function)


def seed_flag(function: F) -> F:
    return click.option(
        "--no-seed", is_flag=True, help="Run tasks for real, whatever data is kept for stacks like this one."
    )(function)


def timings_flag(function: F) -> F:
    return click.option("--timings", is_flag=True, help="Show at the end where the time went.")(function)


def run_flags(function: F) -> F:
    """Flags of the verbs that change a stack."""
    for name, text in (
        ("--trust", "Trust this repository's commands, without a question."),
        ("--yes", "Answer yes to every question about destructive steps."),
        ("--new-ports", "Lease new ports where a stranger has taken the leased ones."),
        ("--offline", "Use what is on this machine, ask no network."),
    ):
        function = click.option(name, is_flag=True, help=text)(function)
    return function
