"""What `[files]` of a profile comes to: Profile + State → the files to make, and those left to the person. Pure.

A file made of a template or a text follows it for as long as nobody else has written to it: its digest is then the one
that the Record knows. A key file is made once and never again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from devstack.profile.interpolation import resolve
from devstack.profile.model import File, Profile
from devstack.render import RenderedFile, digest, reveal
from devstack.state import State, Written
from devstack.viewpoint import lookup


@dataclass(frozen=True)
class ProjectFile:
    """A file of `[files]` to write. path: in the project. replaces: an older one of devstack's is there, which goes to
    the trash. written: what the Record remembers of it, None for a key file."""

    path: str
    rendered: RenderedFile = field(repr=False)
    cause: str
    replaces: bool = False
    written: Written | None = None


def wanted(profile: Profile, state: State) -> tuple[ProjectFile, ...]:
    """The files to make, in the order of the profile. Folders aren't among them."""
    made = (_file(profile, state, path, declared) for path, declared in profile.files.items())
    return tuple(file for file in made if file is not None)


def folders(profile: Profile, state: State) -> tuple[str, ...]:
    """Folders that are declared and not there."""
    return tuple(path for path, declared in profile.files.items() if declared.directory and path in state.missing_paths)


def notes(profile: Profile, state: State) -> tuple[str, ...]:
    """What people should know of the files that they have edited: devstack would make them otherwise by now."""
    found = []
    for path, now in _followed(profile, state):
        before, there = state.written.get(path), state.on_disk.get(path)
        if before and there and there not in (before.digest, now.digest) and now.digest != before.digest:
            found.append(f"{path} was edited and stays as it is, though {_cause(before, now)}")
    return tuple(found)


def following(profile: Profile, state: State) -> dict[str, Written]:
    """Files that hold just what devstack would write, whoever wrote it: from now on they follow their template."""
    return {path: now for path, now in _followed(profile, state) if state.on_disk.get(path) == now.digest}


def version(profile: Profile, state: State) -> str:
    """Digest of what devstack has in these files: a process that reads one at its start is started anew when it
    changes. A file that a person has edited counts as it was before. "" where there are none."""
    parts = []
    for path, now in _followed(profile, state):
        before, there = state.written.get(path), state.on_disk.get(path)
        is_ours = there is None or there == now.digest or (before is not None and there == before.digest)
        counted = now if is_ours else before
        parts.append(f"{path} {counted.digest if counted else ''}")
    return digest("\0".join(parts)) if parts else ""


def text_of(profile: Profile, state: State, path: str) -> str | None:
    """What a run is going to write to a file of `[files]`; None where it leaves it alone."""
    declared = profile.files.get(path)
    file = _file(profile, state, path, declared) if declared is not None else None
    return file.rendered.text if file is not None else None


def _file(profile: Profile, state: State, path: str, declared: File) -> ProjectFile | None:
    if declared.directory:
        return None
    is_missing = path in state.missing_paths
    mode = int(declared.mode, 8) if declared.mode else 0o600
    place = f"{state.root}/{path}"
    if declared.generate is not None:
        key = state.keys.get(path)
        made = RenderedFile(place, reveal(key), mode) if key is not None else None
        return ProjectFile(path, made, "missing") if made and is_missing else None
    source = _source(state, path, declared)
    if source is None:
        return None
    rendered = RenderedFile(place, _rendered(profile, state, source), mode)
    now, before, there = Written(rendered.digest, digest(source)), state.written.get(path), state.on_disk.get(path)
    if is_missing:
        return ProjectFile(path, rendered, "missing", written=now)
    if before is None or there != before.digest or there == now.digest:
        return None
    return ProjectFile(path, rendered, _cause(before, now), replaces=True, written=now)


def _followed(profile: Profile, state: State) -> Iterator[tuple[str, Written]]:
    """Every file made of a text, with what it would be now."""
    for path, declared in profile.files.items():
        source = _source(state, path, declared)
        if source is not None:
            yield path, Written(digest(_rendered(profile, state, source)), digest(source))


def _source(state: State, path: str, declared: File) -> str | None:
    return state.templates.get(path) if declared.template is not None else declared.content


def _rendered(profile: Profile, state: State, source: str) -> str:
    return reveal(resolve(source, lookup(profile, state)))


def _cause(before: Written, now: Written) -> str:
    return "its template changed" if before.source != now.source else "a value in it changed"
