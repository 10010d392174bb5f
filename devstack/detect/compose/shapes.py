"""Services of a compose file as typed values: every short and long syntax in one shape."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack.detect.compose.interpolation import plain

#: `1m30s`, `1.5h`, `500ms`
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmg])?(?:i?b)?", re.IGNORECASE)
_PORT = re.compile(r"(?:(?P<host>.*):)?(?P<published>[\d-]*):(?P<target>[\d-]+)|(?P<only>[\d-]+)")
_STATES = frozenset({"service_started", "service_healthy", "service_completed_successfully"})


@dataclass(frozen=True)
class Published:
    """One entry of `ports` or `expose`. inside: port in the container. outside: on the host; 0: any free one, -1: it is
    not published."""

    inside: int
    outside: int = 0
    protocol: str = "tcp"
    name: str = ""


#: below `build`, always a text
_OF_BUILDS = frozenset({"context", "dockerfile", "target"})


@dataclass(frozen=True)
class Mounted:
    """One entry of `volumes`. form: bind, volume, tmpfs or another. source: "" for an anonymous volume."""

    form: str
    source: str
    target: str
    is_read_only: bool = False


@dataclass(frozen=True)
class Health:
    """words: of the command; () where the check is switched off. is_shell: words is one text for a shell. grace: until
    when it must have succeeded, seconds."""

    words: tuple[str, ...]
    is_shell: bool = False
    grace: float = 120.0


@dataclass(frozen=True)
class Composed:
    """One service. Texts are as they were interpolated, variables without a value still marked in `environment`.

    command, entrypoint: None for the image's own. build: context, dockerfile, target, args. depends: condition by
    service. values: the whole table as it stands.
    """

    name: str
    values: Mapping[str, Any]
    image: str = ""
    build: Mapping[str, Any] | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    env_files: tuple[tuple[str, bool], ...] = ()
    ports: tuple[Published, ...] = ()
    mounts: tuple[Mounted, ...] = ()
    depends: Mapping[str, str] = field(default_factory=dict)
    health: Health | None = None
    profiles: tuple[str, ...] = ()
    replicas: int = 1
    folder: str = ""
    memory: str = ""
    stop_grace: float = 0.0

    @property
    def published(self) -> tuple[Published, ...]:
        return tuple(port for port in self.ports if port.outside >= 0)


def composed(name: str, values: Mapping[str, Any]) -> Composed:
    """A merged service; what has no known shape is as if it weren't there."""
    deploy = _table(values.get("deploy"))
    limits = _table(_table(deploy.get("resources")).get("limits"))
    return Composed(
        name=name,
        values=values,
        image=_text(values.get("image")),
        build=_build(values.get("build")),
        command=words(values.get("command")),
        entrypoint=words(values.get("entrypoint")),
        environment={
            key: None if value is None else str(value) for key, value in _table(values.get("environment")).items()
        },
        env_files=tuple(_env_files(values.get("env_file"))),
        ports=(*_ports(values.get("ports")), *_exposed(values.get("expose"))),
        mounts=tuple(_mounts(values.get("volumes"))),
        depends=dict(_depends(values)),
        health=_health(values.get("healthcheck")),
        profiles=tuple(map(str, values.get("profiles") or ())),
        replicas=_whole(deploy.get("replicas") or values.get("scale"), 1),
        folder=_text(values.get("working_dir")),
        memory=memory(_text(values.get("mem_limit") or limits.get("memory"))),
        stop_grace=seconds(_text(values.get("stop_grace_period"))),
    )


def _build(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    return {key: one for key, one in value.items() if key not in _OF_BUILDS or isinstance(one, str)}


def words(value: Any) -> tuple[str, ...] | None:
    """A command as words; a text is split as a shell would, and not given to one. () for an empty one."""
    if isinstance(value, list):
        return tuple(plain(str(item)) for item in value if item is not None)
    if isinstance(value, str):
        try:
            return tuple(shlex.split(plain(value)))
        except ValueError:
            return tuple(plain(value).split())
    return None


def seconds(text: str) -> float:
    """0 for what is no duration."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def memory(text: str) -> str:
    """As a profile writes it; "" for none. Compose counts bytes where no unit is given."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        return ""
    size = float(found[1]) * {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[(found[2] or "b").lower()]
    return f"{round(size / 1024**2)}m" if size >= 1024**2 else ""


def _ports(value: Any) -> Iterator[Published]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            inside = _whole(entry.get("target"), 0)
            outside = _whole(_text(entry.get("published")).partition("-")[0], 0)
            found = [Published(inside, outside, _text(entry.get("protocol")) or "tcp", _text(entry.get("name")))]
        else:
            found = list(_short_port(plain(str(entry))))
        yield from (port for port in found if 0 < port.inside <= 65535)


def _short_port(text: str) -> Iterator[Published]:
    """`[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]`, each a number or a range."""
    address, _, protocol = text.partition("/")
    found = _PORT.fullmatch(address)
    if found is None:
        return
    targets = list(_range(found["target"] or found["only"] or ""))
    outside = list(_range(found["published"] or "")) or [0] * len(targets)
    for number, inside in enumerate(targets):
        yield Published(inside, outside[min(number, len(outside) - 1)], protocol or "tcp")


def _range(text: str) -> Iterator[int]:
    first, _, last = text.partition("-")
    if first.isdigit() and (last.isdigit() or not last):
        # more than anybody opens one by one
        yield from range(int(first), min(int(last or first), int(first) + 99) + 1)


def _exposed(value: Any) -> Iterator[Published]:
    for entry in value if isinstance(value, list) else ():
        for port in _short_port(plain(str(entry))):
            yield Published(port.inside, -1, port.protocol)


def _mounts(value: Any) -> Iterator[Mounted]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            source, target = _text(entry.get("source")), _text(entry.get("target"))
            is_read_only = _text(entry.get("read_only")) == "true"
            yield Mounted(_text(entry.get("type")) or "volume", source, posixpath.normpath(target or "/"), is_read_only)
        elif isinstance(entry, str):
            yield _short_mount(plain(entry))


def _short_mount(text: str) -> Mounted:
    """`[SOURCE:]TARGET[:MODE]`."""
    source, colon, rest = text.partition(":")
    if not colon:
        return Mounted("volume", "", posixpath.normpath(text))
    target, _, mode = rest.partition(":")
    form = "bind" if source.startswith((".", "/", "~")) else "volume"
    return Mounted(form, source, posixpath.normpath(target), "ro" in mode.split(","))


def _depends(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, how in _table(values.get("depends_on")).items():
        condition = _text(_table(how).get("condition"))
        yield name, condition if condition in _STATES else "service_started"
    for link in values.get("links") or ():
        yield str(link).partition(":")[0], "service_started"


def _env_files(value: Any) -> Iterator[tuple[str, bool]]:
    for entry in value if isinstance(value, list) else ():
        path = _text(entry.get("path") if isinstance(entry, dict) else entry)
        required = not isinstance(entry, dict) or _text(entry.get("required")) != "false"
        if path:
            yield posixpath.normpath(path), required


def _health(value: Any) -> Health | None:
    table = _table(value)
    test = table.get("test")
    if not table:
        return None
    if _text(table.get("disable")) == "true" or test in ("NONE", ["NONE"]):
        return Health(())
    retries = _whole(table.get("retries"), 3)
    interval = seconds(_text(table.get("interval"))) or 30.0
    grace = max(30.0, seconds(_text(table.get("start_period"))) + interval * retries)
    if isinstance(test, str):
        return Health((plain(test),), is_shell=True, grace=grace)
    if isinstance(test, list) and len(test) > 1:
        is_shell = test[0] == "CMD-SHELL"
        return Health(tuple(plain(str(word)) for word in test[1:]), is_shell=is_shell, grace=grace)
    return None


def _text(value: Any) -> str:
    return plain(str(value)) if isinstance(value, str | int) else ""


def _whole(value: Any, default: int) -> int:
    text = _text(value)
    return int(text) if text.isdigit() and len(text) < 10 else default


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
