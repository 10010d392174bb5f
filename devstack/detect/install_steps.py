"""What an installation consists of: calls of an installer in uv's words, and what `[python]` adds to them. Pure."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from devstack.detect.project_files import Input
from devstack.errors import UsageError
from devstack.profile.model import Python


@dataclass(frozen=True)
class InstallStep:
    """One call of the installer. args: `sync …` or `pip install …` in uv's words, without the environment's place.

    lines: requirements that are handed over in a file made for the call. is_local: it names nothing but folders of the
    project, whose own code `only_binary` doesn't mean.
    """

    what: str
    args: tuple[str, ...]
    lines: tuple[str, ...] = ()
    is_local: bool = False

    @property
    def is_sync(self) -> bool:
        return self.args[0] == "sync"

    @property
    def is_exact(self) -> bool:
        """Is every version of it a lock's?"""
        return self.is_sync or "--no-deps" in self.args


@dataclass(frozen=True)
class InstallPlan:
    """steps: in order. inputs: files read. reason: why these, for `devstack plan`. warnings: for the person."""

    steps: tuple[InstallStep, ...] = ()
    inputs: tuple[Input, ...] = ()
    reason: str = "nothing to install"
    warnings: tuple[str, ...] = ()
    installer: str = "uv"

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.inputs)

    def digests(self) -> dict[str, str]:
        """A short digest of each input, by file name."""
        return {entry.name: digest(entry.text) for entry in self.inputs}


@dataclass(frozen=True)
class Chosen:
    """The steps that a project's files ask for, before `[python]`'s options."""

    steps: tuple[InstallStep, ...] = ()
    reason: str = "nothing to install"


@dataclass(frozen=True)
class Locked:
    """What a lock asks for, whole: nothing else is resolved.

    hashed, plain: requirement lines with and without hashes. local: folders and files of the project, as options of
    `pip install`. indexes: besides the machine's own. lack: why the lock can't be followed; then all else is empty.
    """

    hashed: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    local: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[str, ...] = ()
    lack: str = ""

    def inside(self, folder: str) -> Locked:
        """The same for a lock in a folder of the project: its paths are relative to itself."""
        return replace(self, local=tuple((*words[:-1], _placed(folder, words[-1])) for words in self.local))

    def steps(self, lock: str) -> tuple[InstallStep, ...]:
        """Hashes are all or nothing in one call, hence up to three."""
        named = tuple(word for url in self.indexes for word in ("--index", url))
        found = []
        if self.hashed:
            args = ("pip", "install", "--no-deps", "--require-hashes", *named)
            found.append(InstallStep(f"install {lock}", args, self.hashed))
        if self.plain:
            what = f"install what {lock} has without hashes"
            found.append(InstallStep(what, ("pip", "install", "--no-deps", *named), self.plain))
        for words in self.local:
            args = ("pip", "install", "--no-deps", *words)
            found.append(InstallStep(f"install {words[-1]} of {lock}", args, is_local=True))
        return tuple(found)


@dataclass
class Wanted:
    """Extras and groups that `[python]` names, and which of them something answered to. Raises UsageError on `settle`
    for a group that nothing has."""

    extras: tuple[str, ...]
    groups: tuple[str, ...]
    known: dict[str, None] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def among(self, known: Iterable[str]) -> tuple[str, ...]:
        """The wanted groups that are among these."""
        self.known |= dict.fromkeys(known)
        found = tuple(group for group in self.groups if group in self.known)
        self.met |= set(found)
        return found

    def settle(self) -> None:
        for group in self.groups:
            if group not in self.met:
                raise UsageError(
                    "group-unknown", f"there is no dependency group {group!r} in this project",
                    why=f"there are {', '.join(self.known) or 'none'}", fix="correct [python] groups",
                )


def with_options(steps: Sequence[InstallStep], python: Python, constraints: tuple[str, ...]) -> Iterator[InstallStep]:
    """The steps with what `[python]` says of all of them."""
    for step in steps:
        if step.is_sync:
            yield replace(step, args=(*step.args, *_sync_options(python)))
            continue
        free = () if step.is_exact else (*constraints, *_resolving(python))
        binary = () if step.is_local else _binary_options(python)
        sources = tuple(word for url in python.indexes for word in ("--index", url))
        yield replace(step, args=(*step.args[:2], *free, *binary, *sources, *step.args[2:]))


def refuse_options(key: str, entries: Iterable[str]) -> None:
    """Raises UsageError for an entry that an installer would take for an option."""
    for entry in entries:
        if entry.startswith("-") or "\n" in entry or not entry.strip():
            raise UsageError(
                "install-entry-invalid", f"[python] {key} can't hold {entry!r}",
                why="an entry is a file or a requirement, not an option",
                fix="put options into a requirements file and name that",
            )


def source_warnings(python: Python, locked: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Where packages may come from besides the machine's own index. locked: indexes that a lock names, by its file."""
    if python.indexes:
        rule = (
            "pip takes the highest version of any of them: use hashes, or installer = \"uv\""
            if python.installer == "pip" else "a name that one of them has is taken from there alone"
        )
        yield f"packages may also come from {', '.join(python.indexes)} ([python] indexes): {rule}"
    for lock, urls in locked.items():
        if urls:
            yield f"{lock} takes packages from {', '.join(urls)} besides the machine's own index"


def _resolving(python: Python) -> tuple[str, ...]:
    words: tuple[str, ...] = ()
    if python.exclude_newer is not None:
        words += ("--exclude-newer", python.exclude_newer)
    if python.prerelease is not None:
        words += ("--prerelease", python.prerelease)
    return words


def _binary_options(python: Python) -> tuple[str, ...]:
    names = python.only_binary
    if isinstance(names, bool):
        return ("--only-binary", ":all:") if names else ()
    return tuple(word for name in names for word in ("--only-binary", name))


def _sync_options(python: Python) -> tuple[str, ...]:
    words = () if python.editable else ("--no-editable",)
    names = python.only_binary
    if isinstance(names, bool):
        return (*words, "--no-build") if names else words
    return (*words, *(word for name in names for word in ("--no-build-package", name)))


def _placed(folder: str, path: str) -> str:
    # never an option: a path that begins with a dash is still a path
    return path if path.startswith("/") else f"./{posixpath.normpath(posixpath.join(folder, path))}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
