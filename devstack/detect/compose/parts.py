"""What each service of a compose file is: a server of a known kind, any container, a process here or in a container."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from devstack.detect.compose import commands, health
from devstack.detect.compose.dockerfile import Stage, stage
from devstack.detect.compose.env_files import read_env
from devstack.detect.compose.interpolation import plain
from devstack.detect.compose.known import is_server, kind_of, usual_port
from devstack.detect.compose.merging import Read
from devstack.detect.compose.shapes import Composed, Mounted, Published
from devstack.profile.model import name_from

Form = Literal["kind", "container", "process", "contained", "task"]
#: names of devstack's own
_TAKEN = frozenset({"python", "supervisor", "supervisord"})
#: who depends on it so waits for its end
_ENDED = "service_completed_successfully"
_PATH = re.compile(r"(?<![\w./:~-])/[\w./-]+")
#: what is done with files that no project has
_OF_CONTAINER = re.compile(r"(rm|cp|mv|mkdir|chown|chmod|ln|touch|rsync|install)\s(.*[\s=])?/[^\n]*$")
_PROGRAMS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin")
#: where pages usually are
_PAGES = frozenset({80, 3000, 4200, 5000, 5173, 8000, 8025, 8080, 8888})


@dataclass(frozen=True)
class Part:
    """One service and what it becomes. name: in the profile. env: its env files' values below its own, marks kept.
    parsed: its command; stage: of its Dockerfile, where it is built. build: context and so on. port: it listens on
    inside, 0 for none. missing: env files that aren't there. is_off: only with a profile of compose's. filled: names
    whose values its env files don't say as they are."""

    service: Composed
    form: Form
    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    parsed: commands.Parsed = field(default_factory=lambda: commands.Parsed((), ""))
    stage: Stage = field(default_factory=Stage)
    build: Mapping[str, object] | None = None
    port: int = 0
    is_off: bool = False
    role: str = "daemon"
    filled: frozenset[str] = frozenset()

    @property
    def is_app(self) -> bool:
        return self.form in ("process", "contained")


class Sorter:
    """Decides for every service of a file, which must all be known for that."""

    def __init__(self, services: Mapping[str, Composed], read: Read, profiles: frozenset[str]) -> None:
        self._services = services
        self._read = read
        self._profiles = profiles
        self._awaited = {
            name for one in services.values() for name, how in one.depends.items()
            if how == _ENDED
        }
        #: an image that one service builds and others run
        self._built = {one.image: one.build for one in services.values() if one.build and one.image}
        self._names = _names(services)

    def parts(self) -> list[Part]:
        return [self._part(one) for one in self._services.values()]

    def _part(self, service: Composed) -> Part:
        env, missing, filled = self._environment(service)
        is_off = bool(service.profiles) and not self._profiles.intersection(service.profiles)
        part = Part(service, "kind", self._names[service.name], env, missing, is_off=is_off, filled=filled)
        build = service.build or self._built.get(service.image)
        made = self._stage(build) if build else Stage()
        if self._is_kind(service, made.base if build else service.image, made):
            # an image of its own may be made from one that is known
            own = replace(service, image=made.base) if build else service
            return replace(part, service=own, env={**made.env, **env}, stage=made)
        inside = Inside(service, made, build, self._read)
        parsed = self._parsed(service, made, inside, env)
        has_page = bool(service.published) or health.is_page(service)
        form: Form = "contained"
        if build and parsed.main and parsed.is_python and is_inside(str(build.get("context") or ".")):
            is_task = service.name in self._awaited or (commands.is_task(parsed.main) and not service.ports)
            form = "task" if is_task else "process"
            part = replace(part, env={**made.env, **env, **parsed.env}, filled=filled | frozenset(parsed.env))
            if check := service.health:
                words = tuple(inside.relative(one, parsed.folder) for one in check.words)
                part = replace(part, service=replace(service, health=replace(check, words=words)))
        elif not build and not self._is_app(service, env):
            form = "container"
        return replace(
            part, form=form, parsed=parsed, stage=made, build=build, port=self._port(service, made, parsed, form),
            role=commands.role(parsed.main, has_port=has_page),
        )

    def _is_kind(self, service: Composed, image: str, made: Stage) -> bool:
        """Is it a server of a known kind? Its image may do something else, which nobody waits for."""
        kind = kind_of(image)
        if not kind or is_server(kind, (*(service.entrypoint or ()), *_words(service, made))):
            return bool(kind)
        others = [one for one in self._services.values() if one is not service]
        return any(
            one.depends.get(service.name, _ENDED) != _ENDED or _is_host(service.name, self._environment(one)[0])
            for one in others
        )

    def _parsed(
        self, service: Composed, made: Stage, inside: Inside, env: Mapping[str, str]
    ) -> commands.Parsed:
        """Its command, and what a script of the project that the image starts with does before, as seen from its folder
        in the project."""
        def parse(words: tuple[str, ...]) -> commands.Parsed:
            return inside.seen(commands.parse(words, {**made.env, **env}, inside.script))

        entrypoint = made.entrypoint if service.entrypoint is None else service.entrypoint
        words = _words(service, made)
        if entrypoint and (service.command or made.command) and words[: len(entrypoint)] != entrypoint:
            parsed = parse((*entrypoint, *words))
            if parsed.is_script and parsed.is_python:
                return parsed
        elif entrypoint and not words:
            words = entrypoint
        return parse(words) if words else commands.Parsed((), "")

    def _environment(self, service: Composed) -> tuple[dict[str, str], tuple[str, ...], frozenset[str]]:
        """Its variables, the env files that aren't there, and the names that another value was filled into."""
        found: dict[str, str] = {}
        missing = []
        filled: frozenset[str] = frozenset()
        for path, _ in service.env_files:
            text = self._read(path) if is_inside(path) else None
            if text is None:
                missing.append(path)
            else:
                values, names = read_env(path, text, {})
                found |= values
                filled = (filled - frozenset(values)) | names
        for name, value in service.environment.items():
            # without a value it comes from the shell that calls compose
            found[name] = f"\ue0f0{name}\ue0f1" if value is None else value
        return found, tuple(missing), filled

    def _stage(self, build: Mapping[str, object]) -> Stage:
        inline = build.get("dockerfile_inline")
        context = str(build.get("context") or ".")
        path = posixpath.normpath(posixpath.join(context, str(build.get("dockerfile") or "Dockerfile")))
        text = inline if isinstance(inline, str) else self._read(path) if is_inside(path) else None
        return stage(text or "", str(build.get("target") or ""))

    def _is_app(self, service: Composed, env: Mapping[str, str]) -> bool:
        """Somebody's application, and no server that applications use: it depends on others, or sees the project."""
        if service.depends or service.entrypoint or service.replicas > 1 or service.name in self._awaited:
            return True
        if any(mount.form == "bind" for mount in service.mounts):
            return True
        if any(other.image == service.image and other is not service for other in self._services.values()):
            return True
        return any(_is_host(name, env) for name in self._services if name != service.name)

    def _port(self, service: Composed, made: Stage, parsed: commands.Parsed, form: Form) -> int:
        ports = sorted((port for port in service.ports if port.protocol == "tcp"), key=_rank)
        published = [port.inside for port in ports]
        # what a command says that is all there is of it here counts before a port that only its debugger has
        first = parsed.port if parsed.port and form == "process" else next(iter(published), 0)
        named = first or parsed.port or health.port_of(service) or made.port
        return named or self._asked(service.name) or usual_port("" if service.build else service.image)

    def _asked(self, name: str) -> int:
        """The port that others ask it at."""
        pattern = re.compile(rf"(?<![\w.-]){re.escape(name)}:(\d{{2,5}})\b")
        for other in self._services.values():
            for value in (*other.environment.values(), *(other.command or ())):
                if other.name != name and (found := pattern.search(value or "")):
                    return int(found[1])
        return 0


class Inside:
    """Where in the project a file is that a container knows by a path of its own."""

    def __init__(self, service: Composed, made: Stage, build: Mapping[str, object] | None, read: Read) -> None:
        self._service = service
        self._made = made
        self._context = str(build.get("context") or ".") if build else ""
        self._read = read

    def file(self, path: str) -> str:
        """Its name in the project, "" for none of the project's."""
        places = filter(is_inside, self._places(path))
        return next((place for place in places if self._read(place) is not None), "")

    def script(self, path: str) -> str | None:
        """The text of a shell's script, None for what is none."""
        place = self.file(path)
        text = self._read(place) or "" if place else ""
        first, _, _ = text.partition("\n")
        if not first.startswith("#!"):
            is_named = "." not in posixpath.basename(place).removesuffix(".sh").removesuffix(".bash")
            return text if place and is_named else None
        return text if re.match(r"#!.*\b(ba|da|a|z)?sh\b", first) else None

    def seen(self, parsed: commands.Parsed) -> commands.Parsed:
        """A command with the paths that the project's files have inside as seen from the folder that it is executed
        in."""
        main, *before = (self.relative(one, parsed.folder) for one in (parsed.main, *parsed.before))
        parsed = replace(parsed, main=main, before=tuple(before))
        theirs = tuple(one for one in parsed.before if _OF_CONTAINER.match(one))
        skipped = (*parsed.skipped, *((one, "it is about a folder of the container") for one in theirs))
        return replace(parsed, before=tuple(one for one in parsed.before if one not in theirs), skipped=skipped)

    def relative(self, text: str, below: str) -> str:
        """below: the folder that it is seen from, below the container's own one."""
        home = posixpath.normpath(posixpath.join(self._home, below))

        def seen(found: re.Match[str]) -> str:
            rest = _below(found[0], home)
            is_known = rest is not None and any(map(is_inside, self._places(found[0])))
            return f"./{rest}".removesuffix("/") if is_known else found[0]

        return text if home == "/" else _PATH.sub(seen, text)

    def folder(self, below: str) -> str:
        """The project's folder that a container's is, as far as mounts and copies tell. below: its own one."""
        path = posixpath.normpath(posixpath.join(self._home, below))
        for mount in self._binds:
            if (rest := _below(path, mount.target)) is not None:
                return posixpath.normpath(posixpath.join(mount.source, rest))
        found = list(self._copied_to(path))
        whole = next((place for place, source in found if source in (".", "")), None)
        named = Counter(place for place, _ in found).most_common(1)
        inside = whole if whole is not None else named[0][0] if named else below.lstrip("/")
        return posixpath.normpath(posixpath.join(self._context, inside))

    def _copied_to(self, path: str) -> Iterator[tuple[str, str]]:
        """What may be a folder of the image, by what was copied to it and from where; then by what was copied into
        it."""
        copies = [(posixpath.normpath(source.lstrip("/")), target) for source, target in self._made.copies]
        for source, target in copies:
            is_file = self._read(posixpath.normpath(posixpath.join(self._context, source))) is not None
            if (rest := _below(path, target)) is not None and not is_file:
                yield posixpath.normpath(posixpath.join(source, rest)), source
        for source, target in copies:
            if (rest := _below(target, path)) and f"/{source}".endswith(f"/{rest}"):
                yield source[: -len(rest)].rstrip("/") or ".", source

    @property
    def _home(self) -> str:
        return self._service.folder or self._made.folder

    @property
    def _binds(self) -> list[Mounted]:
        """The folders that are mounted, the innermost first."""
        return sorted((one for one in self._service.mounts if one.form == "bind"), key=lambda one: -len(one.target))

    def _places(self, path: str) -> Iterator[str]:
        # without a folder it is looked for where programs are
        names = [posixpath.join(self._home, path)] if "/" in path else [f"{one}/{path}" for one in _PROGRAMS]
        for name in map(posixpath.normpath, names):
            for mount in self._binds:
                if _below(name, mount.target) is not None:
                    yield posixpath.normpath(posixpath.join(mount.source, _below(name, mount.target) or ""))
            for source, target in reversed(self._made.copies):
                rest = _below(name, target)
                if rest is not None and self._context:
                    yield posixpath.normpath(posixpath.join(self._context, source.lstrip("/"), rest))


def _is_host(name: str, env: Mapping[str, str]) -> bool:
    """Does an environment say that a service is to be asked?"""
    texts = " ".join(plain(value) for value in env.values())
    return bool(re.search(rf"(//|@)(\S*@)?{re.escape(name)}(:\d+)?\b", texts)) or any(
        plain(value) == name and re.search("HOST|SERVER|ADDR", key) for key, value in env.items()
    )


def _below(path: str, folder: str) -> str | None:
    """The path as seen from a folder, None where it isn't in it."""
    if path == folder:
        return ""
    return path[len(folder.rstrip("/")) + 1:] if path.startswith(f"{folder.rstrip('/')}/") else None


def _rank(port: Published) -> int:
    """What a browser would be pointed to comes first; else the order of the file counts."""
    return 0 if port.name in ("http", "web") or port.inside in _PAGES else 1


def _words(service: Composed, made: Stage) -> tuple[str, ...]:
    """What the engine would execute, () where only the image knows."""
    entrypoint = made.entrypoint if service.entrypoint is None else service.entrypoint
    command = service.command
    if command is None:
        command = made.command if service.entrypoint is None else ()
    words = command or ()
    first = posixpath.basename(entrypoint[0]) if entrypoint else ""
    if entrypoint and (first in ("sh", "bash") or commands.is_python(shlex.join(entrypoint))):
        return (*entrypoint, *words)
    if service.entrypoint and not words:
        return service.entrypoint
    return words


def is_inside(path: str) -> bool:
    """Is it in the project, as far as its name tells?"""
    return not path.startswith(("/", "~")) and "://" not in path and posixpath.normpath(path).split("/")[0] != ".."


def _names(services: Mapping[str, Composed]) -> dict[str, str]:
    """A profile's name for each service: its own, as far as that can be one."""
    found: dict[str, str] = {}
    for service in services:
        name = name_from(service)
        if name in _TAKEN or name.startswith("devstack-"):
            name = f"app-{name}"[:40]
        number = 2
        base = name
        while name in found.values():
            name = f"{base[:37]}-{number}"
            number += 1
        found[service] = name
    return found


def has_custom_entrypoint(part: Part) -> bool:
    """Does something of the image's run before the command that couldn't be read?"""
    if part.parsed.is_script:
        return False
    entrypoint = part.stage.entrypoint if part.service.entrypoint is None else part.service.entrypoint
    if not entrypoint:
        return False
    first = posixpath.basename(entrypoint[0])
    return first not in ("sh", "bash", "tini", "dumb-init") and not commands.is_python(shlex.join(entrypoint))

