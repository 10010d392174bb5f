"""What git says when it fails, as errors with a cause and a command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from devstack.checkout.address import hidden
from devstack.errors import DataError, DevstackError, NetworkError, StorageError
from devstack.system import Completed

DUBIOUS = "dubious ownership"
_NETWORK = re.compile(
    r"could not resolve|connection (refused|timed out|reset)|unable to (access|connect)|network is unreachable"
    r"|timed out|early eof|remote end hung up|the requested url returned error: 5|unexpected disconnect|curl \d+ ",
    re.IGNORECASE,
)
_ACCESS = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|terminal prompts disabled"
    r"|access denied|returned error: 40[13]", re.IGNORECASE,
)
#: the server has the repository, but not all of its objects
_DAMAGED = re.compile(r"^(?:remote: )?(?:fatal|error): .*(?:unable to read|pack-objects died).*", re.MULTILINE)
#: lines that only count up
_COUNTING = re.compile(r"(?:remote: )?[A-Z][a-z]+ [a-z]+: +\d+%")
#: a file that a checkout couldn't make, since its content isn't there
_UNREADABLE = re.compile(r"^error: unable to read sha1 file of (.+) \([0-9a-f]{40,64}\)$", re.MULTILINE)
_UNFETCHED = re.compile(r"could not fetch ([0-9a-f]{40,64}) from promisor remote")
#: more files than this are left out by their folders
_MANY = 8


def unreadable(done: Completed) -> tuple[str, ...]:
    """Paths whose content a checkout didn't find."""
    return tuple(dict.fromkeys(path.strip('"') for path in _UNREADABLE.findall(done.output)))


def unfetched(done: Completed) -> tuple[str, ...]:
    """Ids of objects that a checkout needed and the remote doesn't have."""
    return tuple(dict.fromkeys(_UNFETCHED.findall(done.output)))


def clone_error(url: str, done: Completed, stall: float) -> DevstackError:
    """The error for a clone or a fetch that failed. stall: seconds of silence after which it was ended."""
    url = hidden(url)
    last = _said(done)
    said = "\n".join(last)
    if done.timed_out:
        return NetworkError(
            "clone-stalled", f"{url} stopped sending", why=f"nothing came for {stall:g} s", evidence=last,
            fix=_ask(url),
        )
    if DUBIOUS in said:
        return not_yours(done)
    if damaged := _DAMAGED.findall(said):
        # two programs of the other side say it, in any order; one of them names the object
        why = next((line for line in damaged if "unable to read" in line), damaged[0])
        return DataError(
            "repository-damaged", f"{url} is damaged where it lies: it can't send all of its objects",
            why=why, evidence=last, fix=f"git clone --depth 1 -- {shlex.quote(url)}",
        )
    if re.search(r"no space left|disk quota", said, re.IGNORECASE):
        return StorageError("disk-full", f"{url} can't be cloned", why=_cause(last), fix="df -h .", evidence=last)
    return _network_error(url, last)


def _network_error(url: str, last: tuple[str, ...]) -> NetworkError:
    said = "\n".join(last)
    if "Host key verification failed" in said:
        name, what, fix = "host-key-unknown", "can't be cloned: ssh doesn't know its host's key", _ask(url)
    elif re.search(r"certificate|SSL peer|TLS alert", said):
        name, what, fix = "certificate-untrusted", "can't be cloned", "export GIT_SSL_CAINFO=/path/to/authority.pem"
    elif refusal := next((line for line in last if _ACCESS.search(line)), ""):
        # asked on a terminal, the cache keeps the answer; devstack uses whatever helper or agent there is
        first = "git config --global credential.helper cache" if url.startswith("http") else "ssh-add"
        return NetworkError(
            "access-denied", f"{url} needs a log-in", why=f"{refusal}; devstack never asks for one", evidence=last,
            fix=f"{first} && {_ask(url)}",
        )
    elif _NETWORK.search(said):
        name, what, fix = "network-failed", "can't be reached", _ask(url)
    else:
        name, what, fix = "repository-not-found", "can't be cloned", _ask(url)
    return NetworkError(name, f"{url} {what}", why=_cause(last), evidence=last, fix=fix)


def _ask(url: str) -> str:
    return f"git ls-remote -- {shlex.quote(url)}"


def checkout_failed(url: str, paths: Sequence[str], done: Completed, given: str) -> DataError:
    """Everything was cloned that the repository has, but some files aren't among it. given: the `--profile`."""
    last = _said(done)
    url = hidden(url)
    few = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
    why = f"its repository lacks the content of {few}" if paths else _cause(last)
    entries = ", ".join(f'"!{_toml(path)}"' for path in _left_out(paths)) or '"folder"'
    where = f"in {given}" if given else "in its profile, or in one given with --profile FILE"
    return DataError(
        "checkout-failed", f"{url} was cloned but can't be checked out; nothing was kept", why=why, evidence=last,
        fix=f"sparse = [{entries}] below [project] {where}",
    )


def not_yours(done: Completed) -> StorageError:
    """git refuses a repository of another account; only its owner's word can change that."""
    found = re.search(r"repository at '(.+)'", done.output)
    place = found[1] if found else "it"
    return StorageError(
        "not-your-repository", f"git doesn't open {place}", why="it belongs to another user of this machine",
        fix=f"git config --global --add safe.directory {shlex.quote(place)}", evidence=done.last_lines(4),
    )


def _said(done: Completed) -> tuple[str, ...]:
    lines = [hidden(line) for line in done.last_lines(12) if not _COUNTING.match(line)]
    return tuple(line for line in lines[-8:] if line.strip())


def _cause(last: Sequence[str]) -> str:
    return next((line for line in reversed(last) if line.startswith(("fatal:", "error:"))), last[-1] if last else "")


def _left_out(paths: Sequence[str]) -> list[str]:
    """Entries of `[project] sparse` that leave the paths out."""
    if len(paths) <= _MANY:
        return list(paths)
    folders = (str(PurePosixPath(path).parent) for path in paths)
    return list(dict.fromkeys(path if folder == "." else folder for path, folder in zip(paths, folders, strict=True)))


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
