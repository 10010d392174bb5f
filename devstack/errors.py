"""Every error devstack raises on purpose: what happened, why, and one command that helps.

    DevstackError
    ├── UsageError          2   the command line or the profile
    │   └── ProfileError    2   all mistakes of a profile at once
    ├── PrerequisiteError   3   something the machine lacks
    ├── NetworkError        4   something the network didn't give
    ├── StorageError        5   disk or permission
    ├── ConflictError       6   a port or a name is taken
    ├── DataError           7   data needs a person's decision
    ├── ProcessError        8   a process, task or check failed
    ├── NotTrustedError     9   nothing of a repository runs before it is trusted
    ├── BusyError          75   another devstack holds this stack
    └── InterruptedRunError 130   Ctrl-C (143: terminated)

Only `devstack.cli` turns them into text and an exit code. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class DevstackError(Exception):
    """Base of all expected failures.

    id: stable kebab-case name, the same in text, JSON and documentation.
    what: what happened, one sentence. why: the cause, as far as it is known.
    fix: one command (or act) that helps; empty only where nothing can be said.
    evidence: the lines that prove it, such as a log's last ones; shown as they are.
    """

    #: 128 + the signal, where one ended the run
    exit_code: int = 1

    def __init__(self, id: str, what: str, *, why: str = "", fix: str = "", evidence: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.id = id
        self.what = what
        self.why = why
        self.fix = fix
        self.evidence = evidence
        #: id of the plan's step that failed; set by the executor, so that inner code needn't know it
        self.step: str | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class UsageError(DevstackError):
    exit_code = 2


@dataclass(frozen=True)
class Mistake:
    """One mistake of a profile: `file:line: key.path: text (hint)`; line 0 where it is unknown."""

    file: str
    line: int
    key: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{key} {self.text}{hint}"


class ProfileError(UsageError):
    """All mistakes of one profile, in the order of the file. fix: left out, the first mistake's place."""

    def __init__(self, what: str, mistakes: tuple[Mistake, ...], *, fix: str = "") -> None:
        first = mistakes[0]
        fix = fix or f"correct {first.file}{f':{first.line}' if first.line else ''}; `devstack plan` checks it"
        super().__init__(
            "profile-invalid", what, why=str(mistakes[0]) if len(mistakes) == 1 else f"{len(mistakes)} mistakes",
            fix=fix, evidence=tuple(map(str, mistakes)),
        )
        self.mistakes = mistakes


class PrerequisiteError(DevstackError):
    exit_code = 3


class NetworkError(DevstackError):
    exit_code = 4


class StorageError(DevstackError):
    exit_code = 5


class ConflictError(DevstackError):
    exit_code = 6


class DataError(DevstackError):
    exit_code = 7


class ProcessError(DevstackError):
    exit_code = 8


class NotTrustedError(DevstackError):
    """changes: what isn't as it was trusted, each `{"file", "kind", "change"}`; () where nothing was."""

    exit_code = 9
    changes: tuple[Mapping[str, str], ...] = ()


class BusyError(DevstackError):
    exit_code = 75


class InterruptedRunError(DevstackError):
    exit_code = 130
