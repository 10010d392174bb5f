"""Images built from a folder of the project, by the engine's classic builder: keyed by all that they are made from, so
that none is built twice.

The engine gets the folder as a tar archive, less what `.dockerignore` leaves out, and less what is devstack's own: that
holds secrets, and changes with every run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from devstack.contained import built_image
from devstack.errors import DevstackError, NetworkError, ProcessError, StorageError, UsageError
from devstack.profile.model import Build
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import (
    IMAGE_ROOT,
    IMAGE_STACK,
    IMAGE_USER,
    STACK,
    Owned,
    Owner,
    unavailable,
)
from devstack.runtimes.event_streams import Event, events
from devstack.system import storage_errors

if TYPE_CHECKING:
    from requests import Response

#: of a project, never part of a context
_OURS = (".devstack", ".venv")
#: seconds without a word; compilers have little to say
_SILENCE = 900.0
#: seconds until the engine must take the first byte
_ASKING = 6.0
_LINES = 12
#: built images that are kept besides those in use: the way back from a change is short
_KEPT = 2
_STEP = re.compile(r"^step (\d+/\d+)\s*:\s*(.*)", re.IGNORECASE)
#: an engine paints what a step writes to stderr
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_NETWORK = ("dial tcp", "no such host", "manifest unknown", "pull access denied", "TLS handshake", "i/o timeout",
               "toomanyrequests", "unauthorized")  # fmt: skip

OnLine = Callable[[str], None]


class Places(Protocol):
    """Where files of the project are (`stack.inputs.Inputs`)."""

    def inside(self, name: str) -> Path: ...


@dataclass(frozen=True)
class Wanted:
    """An image to be built. name: with the key as its tag. whose: the process that needs it. args: filled in. owner:
    the stack's."""

    name: str
    whose: str
    build: Build
    args: Mapping[str, str]
    owner: Owner


def key(places: Places, build: Build, args: Mapping[str, str]) -> str:
    """Changes with everything that the image is made from: the content of its folder and the keys of the profile.

    Raises UsageError where the folder or the Dockerfile isn't there, StorageError where something can't be read.
    """
    folder = _folder(places, build)
    found = hashlib.sha256(json.dumps([build.dockerfile, build.target, sorted(args.items())]).encode())
    for path in _context(folder, build.dockerfile):
        place = folder / path
        with storage_errors(place):
            info = place.lstat()
            found.update(f"{path}\0{info.st_mode & 0o170111:o}\0".encode(errors="surrogateescape"))
            if stat.S_ISLNK(info.st_mode):
                found.update(os.fsencode(place.readlink()))
            elif stat.S_ISREG(info.st_mode):
                with place.open("rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]


def build(engine: Engine, places: Places, wanted: Wanted, say: OnLine) -> None:
    """Have the engine build an image. say: where it is. Raises ProcessError with the step that failed and its last
    lines, NetworkError for a base image that can't be had, StorageError, InterruptedRunError."""
    folder = _folder(places, wanted.build)
    step, lines = "", list[str]()
    with tempfile.TemporaryFile() as archive:
        _pack(folder, _context(folder, wanted.build.dockerfile), archive)
        archive.seek(0)
        for line, failure in _told(engine, wanted, archive):
            if found := _STEP.match(line):
                step, lines = f"{found[1]} `{found[2]}`", []
                say(f"step {found[1]}: {found[2]}")
            elif line:
                lines.append(line)
                say(line)
            if failure:
                raise _failed(engine, wanted, step, failure, lines)
    if not engine.image(wanted.name):
        raise _failed(engine, wanted, step, "the engine says that it is done and has no image", lines)


def discard(engine: Engine, stack: str, *, kept: frozenset[str], spare: int = _KEPT) -> None:
    """Remove images that were built for a stack. kept: names of those that stay; spare: how many of the others do, the
    newest. One that a container uses stays; none of it is worth an error."""
    with engine.asking():
        found = engine.api.images(filters={"label": [f"{IMAGE_STACK}={stack}"]})
    others = [one for one in found if (own := _own_names(one, stack)) and not kept.intersection(own)]
    for one in sorted(others, key=lambda one: int(one["Created"]), reverse=True)[spare:]:
        for name in _own_names(one, stack):
            with contextlib.suppress(DevstackError):
                remove(engine, name)


def built(engine: Engine, user: int) -> tuple[Owned, ...]:
    """What was built for all stacks of one user, less what is in use by containers of somebody else."""
    with engine.asking():
        if not (found := engine.api.images(filters={"label": [f"{IMAGE_USER}={user}"]})):
            return ()
        running = engine.api.containers(all=True)
        sizes = engine.sizes().images
    used = {(one["ImageID"], (one.get("Labels") or {}).get(STACK, "")) for one in running}
    images = []
    for one in found:
        stack, root = one["Labels"][IMAGE_STACK], one["Labels"].get(IMAGE_ROOT, "")
        if any(image == one["Id"] and whose != stack for image, whose in used):
            continue
        images += [Owned("image", name, name, stack, root, sizes.get(one["Id"], 0)) for name in _own_names(one, stack)]
    return tuple(images)


def remove(engine: Engine, name: str) -> None:
    """Take an image's name away, and with its last name the image. Raises ProcessError where a container uses it."""
    from docker.errors import ImageNotFound

    with engine.asking(), contextlib.suppress(ImageNotFound):
        engine.api.remove_image(name)


def _own_names(image: Mapping[str, Any], stack: str) -> list[str]:
    """Those that devstack gave it: somebody else may have given it more, and what is built upon it has its labels."""
    # as Podman writes names that came without a registry
    names = (name.removeprefix("localhost/") for name in image.get("RepoTags") or ())
    return [name for name in names if name.startswith(built_image(stack, ""))]


def _folder(places: Places, build: Build) -> Path:
    folder = places.inside(build.context)
    if not folder.is_dir():
        raise UsageError(
            "context-missing", f"nothing can be built from {build.context}", why="there is no such folder",
            fix="change `build` in the profile",
        )
    if not (folder / build.dockerfile).is_file():
        raise UsageError(
            "dockerfile-missing", f"nothing can be built from {build.context}", why=f"it has no {build.dockerfile}",
            fix="change `build` in the profile",
        )
    return folder


def _context(folder: Path, dockerfile: str) -> list[str]:
    """Paths that belong to the context, sorted, as the engine's own command line would choose them."""
    from docker.utils.build import exclude_paths

    ignored = folder / ".dockerignore"
    with storage_errors(folder):
        text = ignored.read_text(encoding="utf-8-sig", errors="surrogateescape") if ignored.is_file() else ""
        patterns = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        # the last ones win
        found: set[str] = exclude_paths(str(folder), [*patterns, *_OURS], dockerfile)
    return sorted(path for path in found if path and not _is_ours(path))


def _is_ours(path: str) -> bool:
    return path.split("/", maxsplit=1)[0] in _OURS


def _pack(folder: Path, paths: list[str], archive: IO[bytes]) -> None:
    with storage_errors(folder), tarfile.open(fileobj=archive, mode="w") as packed:
        for path in paths:
            entry = packed.gettarinfo(str(folder / path), path)
            # sockets and pipes are nothing to build from
            if entry is None or not (entry.isreg() or entry.isdir() or entry.issym()):
                continue
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with (folder / path).open("rb") as content:
                    packed.addfile(entry, content)
            else:
                packed.addfile(entry)


def _told(engine: Engine, wanted: Wanted, archive: IO[bytes]) -> Iterator[tuple[str, str]]:
    """What the builder prints, line by line, and why it has failed, "" before that."""
    import requests

    try:
        for event in events(engine.system, lambda: _ask(engine, wanted, archive), _SILENCE):
            failure = str(event.get("error") or (event.get("errorDetail") or {}).get("message") or "")
            for line in _lines(event):
                yield line, ""
            if failure:
                yield "", " ".join(failure.split())
    except TimeoutError as error:
        yield "", str(error)
    except requests.exceptions.RequestException as error:
        raise unavailable(engine.address, str(error)) from None


def _lines(event: Event) -> Iterator[str]:
    for line in _COLOUR.sub("", str(event.get("stream") or "")).splitlines():
        if line.strip() and not line.startswith((" --->", "Removing intermediate container")):
            yield line.strip()
    if event.get("status") and not event.get("progressDetail"):
        yield f"{event.get('id') or ''} {event['status']}".strip()


def _ask(engine: Engine, wanted: Wanted, archive: IO[bytes]) -> Response:
    build, headers = wanted.build, {"Content-Type": "application/tar"}
    # what a private base image needs; the library offers no other way to it
    engine.api._set_auth_headers(headers)  # noqa: SLF001
    params: dict[str, Any] = {
        "t": wanted.name, "dockerfile": build.dockerfile, "rm": True, "forcerm": True, "target": build.target or "",
        "buildargs": json.dumps(dict(wanted.args)), "labels": json.dumps(wanted.owner.image_labels),
    }
    url = f"{engine.api.base_url}/v{engine.api.api_version}/build"
    answer: Response = engine.api.post(
        url, data=archive, params=params, headers=headers, stream=True, timeout=(_ASKING, None)
    )
    return answer


def _failed(engine: Engine, wanted: Wanted, step: str, said: str, lines: list[str]) -> DevstackError:
    what, place = f"the image of {wanted.whose} can't be built", f"{wanted.build.context}/{wanted.build.dockerfile}"
    why = f"step {step}: {said}" if step else said
    evidence = tuple(lines[-_LINES:])
    if "no space left" in said:
        return StorageError("disk-full", what, why=why, fix=f"{engine.program} system df", evidence=evidence)
    if any(word in said for word in _OF_NETWORK):
        return NetworkError("pull-failed", what, why=why, fix="devstack up", evidence=evidence)
    return ProcessError(
        "build-failed", what, why=why, fix=f"correct {place.removeprefix('./')}, then: devstack up", evidence=evidence
    )
