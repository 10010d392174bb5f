"""What was typed, as a repository that git may be asked for; and whether a folder holds it already."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devstack.errors import ConflictError, UsageError

_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^:].*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")
#: what a URL may hold between `//` and `@`; never shown
_LOGIN = re.compile(r"(?<=://)[^/@\s]*:[^/\s]*@")


@dataclass(frozen=True)
class Repository:
    """A repository to clone. url: as git gets it. name: of the folder it makes."""

    url: str
    name: str


class Checkouts(Protocol):
    """The part of Git that `ensure_fits` asks."""

    def is_checkout(self, folder: Path) -> bool: ...

    def remotes(self, folder: Path) -> Iterable[str]: ...


def parse(text: str, base: Path) -> Repository:
    """What `bootstrap TEXT` means as a repository. Raises UsageError for anything git should not be asked for."""
    is_url = text.startswith(_SCHEMES)
    if fault := fault_of(text):
        raise _refused(text, fault)
    is_remote = is_url or (_SCP.fullmatch(text) is not None and not (base / text).exists())
    if is_remote:
        url = text
    else:
        path = (base / Path(text).expanduser()).resolve()
        if not path.exists():
            raise UsageError(
                "no-repository", f"there is no repository at {text}", why=f"{path} does not exist and it is no git URL",
                fix="devstack bootstrap https://host/path/project.git",
            )
        url = str(path)
    name = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
    if not name or name in (".", ".."):
        raise _refused(text, "no folder name can be made of it; give one with --into")
    return Repository(url, name)


def fault_of(text: str) -> str:
    """Why git isn't asked for this, "" where it may be."""
    is_url = text.startswith(_SCHEMES)
    if not text or text.startswith("-") or ("::" in text and not is_url) or _CONTROL.search(text):
        return "only https, http, ssh, git and file URLs, user@host:path and folders are cloned"
    if is_url or _SCP.fullmatch(text):
        # ssh would take a user or a host that begins with a dash for an option
        authority = re.split("/" if is_url else ":", text.partition("://")[2] or text, maxsplit=1)[0]
        if any(part.startswith("-") for part in authority.split("@")):
            return "its user or host begins with a dash"
    return ""


def is_local(url: str) -> bool:
    """A folder of this machine."""
    return url.startswith("file://") or (not url.startswith(_SCHEMES) and not _SCP.fullmatch(url))


def hidden(text: str) -> str:
    """The text without any password of a URL in it."""
    return _LOGIN.sub("***@", text)


def ensure_fits(git: Checkouts, repository: Repository, destination: Path) -> bool:
    """Is this repository checked out at `destination` already? False: there is nothing, it can be cloned.

    Raises ConflictError where something else is there.
    """
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return False
    if git.is_checkout(destination) and any(same(url, repository.url) for url in git.remotes(destination)):
        return True
    what = "a checkout of another repository" if git.is_checkout(destination) else "something else"
    other = next(
        place for number in range(2, 10_000) if not (place := Path(f"{destination}-{number}")).exists()
    )
    raise ConflictError(
        "folder-taken", f"{destination} is there already", why=f"it is {what}; nothing was touched",
        fix=f"devstack bootstrap {shlex.quote(hidden(repository.url))} --into {shlex.quote(str(other))}",
    )


def same(one: str, other: str) -> bool:
    """Do two URLs name one repository?"""
    return one.rstrip("/").removesuffix(".git") == other.rstrip("/").removesuffix(".git")


def _refused(text: str, why: str) -> UsageError:
    return UsageError(
        "url-refused", f"{text!r} is not cloned", why=why, fix="devstack bootstrap https://host/path/project.git"
    )
