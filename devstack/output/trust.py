"""What a repository would do here, before anyone says that it may: as lines for people and as a document. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devstack.output.results import hanging
from devstack.output.terminal import Look
from devstack.output.text import clean, one_line
from devstack.profile.executed import executed

if TYPE_CHECKING:
    from devstack.profile.model import Profile
    from devstack.stack.trusting import Request


def summary(look: Look, request: Request) -> list[str]:
    """Whole, whatever the width: nobody should trust what was cut off."""
    lines = [
        "This repository has changed since it was trusted:" if request.is_known and request.changes
        else "This repository is trusted, as it is now." if request.is_known
        else "This repository is not trusted yet.",
    ]  # fmt: skip
    for change in request.changes:
        lines.append(f"  {look.paint(one_line(str(change)), 'magenta')}")
        lines += [f"    {look.paint('|', 'dim')} {clean(line)}" for line in change.diff]
    if request.stranger:
        lines.append(look.paint("Its folder belongs to another user, who can change it at any time.", "magenta"))
    installs = request.profile.python.install != () or request.profile.python.packages
    lines.append(f"It would{' install its requirements (packages may run code) and' * bool(installs)}:")
    rows = list(_rows(document(request)))
    width = max((len(head) for head, _ in rows), default=0)
    for head, text in rows:
        lines += hanging(look, f"  {head:<{width}}  ", width + 4, text)
    return lines


def document(request: Request) -> dict[str, Any]:
    """`devstack trust --json`."""
    profile = request.profile
    return {
        "trusted": request.material.root,
        "profile": request.source,
        "install": list(profile.python.install) if profile.python.install is not None else None,
        "indexes": list(profile.python.indexes),
        "services": [
            {"name": name, "kind": service.kind or name, "version": service.version}
            for name, service in profile.services.items()
        ],
        "containers": list(_containers(profile)),
        "commands": [{"key": one.key, "run": one.text, "shell": one.shell} for one in executed(profile)],
        "schedules": {name: one.schedule for name, one in profile.processes.items() if one.schedule},
        "watches": {name: list(one.watch) for name, one in profile.processes.items() if one.watch},
        "files": list(profile.files),
        "env_files": [item.name for item in request.material.items if item.kind == "env file"],
        "inherit": list(profile.inherit),
        "bound_to": [{"file": item.name, "kind": item.kind} for item in request.material.items],
        "changes": [
            {"file": change.name, "kind": change.kind, "change": change.how} for change in request.changes
        ],
    }  # fmt: skip


def _containers(profile: Profile) -> Iterator[dict[str, Any]]:
    """What runs in containers, of which images, and what of the project it sees."""
    for name, service in profile.services.items():
        if service.image is not None:
            yield {"name": name, "image": service.image, "build": None, "sees": []}
    for name, process in profile.processes.items():
        if process.is_contained:
            build = f"{process.build.context}/{process.build.dockerfile}" if process.build else None
            sees = [text for text, one in zip(process.volumes, process.mounts, strict=True) if not one.is_volume]
            yield {"name": name, "image": process.image, "build": build, "sees": sees}


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for command in document["commands"]:
        # the usual key goes without saying
        yield f"run {one_line(command['key']).removesuffix('.run')}", one_line(command["run"])
    if document["schedules"]:
        times = [f"{name} ({when})" for name, when in document["schedules"].items()]
        yield "run at times", one_line(", ".join(times))
    if document["watches"]:
        watched = [f"{name} ({', '.join(globs)})" for name, globs in document["watches"].items()]
        yield "restart on change", one_line(", ".join(watched))
    if document["services"]:
        texts = [_service(**one) for one in document["services"]]
        yield "start services", one_line(", ".join(texts))
    for one in document["containers"]:
        made = f"image {one['image']}" if one["image"] else f"built from {one['build'].removeprefix('./')}"
        sees = f", sees {', '.join(one['sees'])}" if one["sees"] else ""
        yield f"in a container {one_line(one['name'])}", one_line(f"{made}{sees}")
    if document["indexes"]:
        yield "fetch packages from", one_line(", ".join(document["indexes"]))
    for head, key in (("make files", "files"), ("read env files", "env_files"), ("read from your shell", "inherit")):
        if document[key]:
            yield head, one_line(", ".join(document[key]))
    names = [item["file"] for item in document["bound_to"]]
    yield "as long as unchanged", one_line(", ".join(names))


def _service(name: str, kind: str, version: str | None) -> str:
    words = [word for word in (kind if kind != name else "", version or "") if word]
    return f"{name} ({' '.join(words)})" if words else name
