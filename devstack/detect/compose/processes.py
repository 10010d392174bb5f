"""Tasks and processes of a profile from the applications of a compose file."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from devstack.detect.compose import commands, outside
from devstack.detect.compose.known import is_of_others
from devstack.detect.compose.lifetimes import essential, lifetime, off
from devstack.detect.compose.merging import Read
from devstack.detect.compose.parts import Inside, Part, has_custom_entrypoint, is_inside
from devstack.detect.compose.preparing import migration
from devstack.detect.compose.report import Report
from devstack.profile.model import name_from

_REFERENCE = re.compile(r"\$\{(services|processes)\.([a-z0-9_-]+)\.")
#: what a command line must not show
_SECRET = re.compile(r"\$\{(?:services\.([a-z0-9_-]+)\.(url|password)|env\.(\w+))\}")
#: a profile's own wish for a web process
_USUAL_PORT = 8000


@dataclass(frozen=True)
class Project:
    """read: a file. defaults: what the code takes for variables that nobody set."""

    read: Read
    defaults: Mapping[str, str]


@dataclass(frozen=True)
class Converted:
    """One task or process. table: without its environment. source: the name of what it was made from. is_native: it
    runs on this machine."""

    section: str
    name: str
    table: Mapping[str, Any]
    source: str
    env: Mapping[str, str] = field(default_factory=dict)
    is_native: bool = True
    comments: tuple[str, ...] = ()


class Processes:
    """Converts the applications of one file, which know of each other's tasks."""

    def __init__(
        self, parts: Sequence[Part], report: Report, text_of: Callable[[Part, str], str],
        environment_of: Callable[[Part], dict[str, str]], project: Project,
    ) -> None:
        self._parts = parts
        self._report = report
        self._text_of = text_of
        self._environment_of = environment_of
        self._read = project.read
        self._defaults = project.defaults
        self._by_service = {part.service.name: part for part in parts}
        self._taken = {part.name for part in parts}
        #: command and folder of each task
        self._tasks: dict[str, tuple[str, str]] = {}
        self._told: set[tuple[str, str]] = set()
        #: the service that says it: in containers, only who depends on that waits for it
        self._sources: dict[str, str] = {}

    def made(self) -> list[Converted]:
        found: list[Converted] = []
        # what others wait for comes first: a task needs those that stand before it
        for part in sorted(self._parts, key=lambda one: one.form != "task"):
            if part.form == "task":
                found += self._tasks_of(part, (*part.parsed.before, part.parsed.main))
            elif part.form == "process" and not part.is_off:
                found += self._tasks_of(part, part.parsed.before)
            self._tell_skipped(part)
        for part in self._parts:
            if part.form == "process" and not part.is_off:
                found += self._migration(part)
        for part in self._parts:
            if part.form == "process":
                found.append(self._native(part))
            elif part.form == "contained":
                found.append(self._contained(part))
        self._tell_volumes()
        needs = {one.name: one.table.get("needs", ()) for one in found}
        here = [one.name for one in found if one.is_native and one.section == "processes"]
        needed = essential(needs, here or needs)
        theirs = {part.name for part in self._parts if part.build is None or is_of_others(part.stage)}
        return [_optional(one) if one.name in theirs - needed else one for one in found]

    # --- on this machine ---------------------------------------------------------------------------------------------

    def _tasks_of(self, part: Part, before: Sequence[str]) -> Iterator[Converted]:
        for number, command in enumerate(before, 1):
            run = commands.native(self._text_of(part, command), "daemon")
            folder = self._folder(part)
            if (run, folder) in self._tasks.values():
                continue
            is_whole = part.form == "task" and number == len(before)
            name = part.name if is_whole else self._free(name_from(commands.task_name(command)))
            self._tasks[name] = (run, folder)
            self._sources[name] = part.service.name
            table: dict[str, Any] = {
                "run": run, **({} if folder == "." else {"cwd": folder}), **self._env_files(part),
            }  # fmt: skip
            if commands.needs_shell(command):
                table["shell"] = True
            if re.search(r"manage\.py migrate\b", run):
                table |= {"inputs": ["**/migrations/*.py"]}
            said = () if is_whole else (f"Of the command of `{part.service.name}`, which ran it before its own.",)
            # its variables are those of the process that it came from
            yield Converted("tasks", name, table, part.name, self._environment_of(part), comments=said)

    def _tell_skipped(self, part: Part) -> None:
        if part.form not in ("task", "process"):
            return
        for text, why in part.parsed.skipped:
            # scripts that begin in the same way are one and the same matter
            if (text, why) in self._told:
                continue
            self._told.add((text, why))
            self._report.drop((part.service.name, "command"), f"`{shorten(text)}` isn't done: {why}",
                              "a task, where the project needs it")  # fmt: skip

    def _migration(self, part: Part) -> Iterator[Converted]:
        """Without its schema an application doesn't answer."""
        table = migration(self._folder(part), self._read)
        runs = [run for run, _ in self._tasks.values()]
        runs += [" ".join(one.service.command or ()) for one in self._parts]
        if table is None or any(re.search(r"\bmigrate\b|\balembic upgrade\b", run) for run in runs):
            return
        name = self._free("migrate")
        self._tasks[name] = (table["run"], self._folder(part))
        table |= self._env_files(part)
        said = "The compose file leaves it to an entrypoint, or to a person."
        yield Converted("tasks", name, table, part.name, self._environment_of(part), comments=(said,))

    def _native(self, part: Part) -> Converted:
        service, said = part.service, []
        run = self._text_of(part, part.parsed.main)
        table: dict[str, Any] = {"role": part.role}
        environment = self._environment_of(part)
        # it would be seen from elsewhere
        open_to_all = "0.0.0.0"  # noqa: S104 - compared with, never listened on
        environment |= {name: "127.0.0.1" for name, text in environment.items() if text == open_to_all}
        if part.parsed.is_shell or _SECRET.search(run):
            run, more = _hidden(run)
            environment |= more
            table |= {"run": commands.native(run, part.role, part.name), "shell": True}
        else:
            table["run"] = commands.native(run, part.role, part.name)
        if (folder := self._folder(part)) != ".":
            table["cwd"] = folder
        table |= self._env_files(part)
        table["needs"] = self._needs(part, environment, table["run"])
        first = next((port for port in service.published if port.inside == part.port), None)
        if part.role == "web" and first and first.outside not in (0, _USUAL_PORT) and service.replicas == 1:
            table["port"] = first.outside
        if part.role == "web" and "${port}" not in table["run"]:
            table |= self._own_port(part, environment, table["run"])
        check = outside.ready(part, self._report)
        table["ready"] = check or self._usual_check(part, table["run"])
        table |= lifetime(part)
        if has_custom_entrypoint(part):
            self._report.drop((service.name, "entrypoint"), "the image's entrypoint isn't run here",
                              "what it prepares: tasks")  # fmt: skip
        if part.is_off:
            said.append(off(part))
        kept = {key: value for key, value in table.items() if value is not None}
        return Converted("processes", part.name, kept, part.name, environment, comments=tuple(said))

    def _own_port(self, part: Part, environment: dict[str, str], run: str) -> dict[str, Any]:
        """A command that doesn't say where it listens is told by a variable, or is where it always is."""
        leased = f"${{processes.{part.name}.port}}"
        if re.search(r"\bflower\b", run):
            environment |= {"FLOWER_PORT": leased, "FLOWER_ADDRESS": "127.0.0.1"}
            return {}
        known = {**self._defaults, **part.env}
        named = [name for name, value in known.items() if re.search(r"(^|_)PORT$", name) and value == str(part.port)]
        own = [name for name in named if "${" not in environment.get(name, "")]
        if own:
            environment[own[0]] = leased
        elif "PORT" not in known and part.port:
            return {"port": part.port}
        return {}

    def _usual_check(self, part: Part, run: str) -> dict[str, Any] | None:
        if "runserver" in run:
            # any answer of Django's shows that it serves
            return {"http": "/", "status": [200, 301, 302, 401, 403, 404]}
        return {"tcp": True} if part.role == "web" else None

    def _folder(self, part: Part) -> str:
        """Where it runs in the project: what of it is the container's folder."""
        place = Inside(part.service, part.stage, part.build, self._read).folder(part.parsed.folder)
        return _inside_project(place)

    def _tell_volumes(self) -> None:
        """The project itself is where a process is; what else it kept in volumes lies on this machine from now on."""
        kept: dict[str, str] = {}
        for part in self._parts:
            for mount in part.service.mounts if part.form == "process" else ():
                if mount.form == "volume" and mount.source:
                    kept.setdefault(mount.target, part.service.name)
        if kept:
            what = "is a path of this machine now, no volume"
            what = what if len(kept) == 1 else "are paths of this machine now, no volumes"
            self._report.drop((next(iter(kept.values())), "volumes"), f"{', '.join(kept)} {what}",
                              "entries of [files] with `directory = true`, and the paths in [env]")  # fmt: skip

    # --- in a container ----------------------------------------------------------------------------------------------

    def _contained(self, part: Part) -> Converted:
        service = part.service
        build = part.build
        table: dict[str, Any] = {"role": part.role, "build": _build(build)} if build else {
            "role": part.role, "image": service.image,
        }
        environment = self._environment_of(part)
        words = (*(service.entrypoint or ()), *(service.command or ()))
        if words:
            run = self._text_of(part, shlex.join(words))
            if _SECRET.search(run) or "\n" in run:
                text = commands.script_of(words)
                run, more = _hidden(self._text_of(part, shlex.join(words) if text is None else text))
                environment |= more
                table["shell"] = True
            table["run"] = run.strip()
        if service.entrypoint:
            self._report.drop((service.name, "entrypoint"), "the image's own entrypoint is given it as words",
                              "an image that says so: `build` with ENTRYPOINT")  # fmt: skip
        if service.folder.startswith("/"):
            table["cwd"] = service.folder
        table |= self._env_files(part)
        table["needs"] = self._needs(part, environment, str(table.get("run", "")))
        table |= self._ports(part)
        table["volumes"] = list(self._mounts(part)) or None
        table["ready"] = outside.ready(part, self._report)
        table |= lifetime(part)
        if self._is_awaited(service.name):
            table["restart"] = "never"
        said = (off(part),) if part.is_off else ()
        kept = {key: value for key, value in table.items() if value is not None}
        return Converted("processes", part.name, kept, part.name, environment, is_native=False, comments=said)

    def _ports(self, part: Part) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first = next((port for port in part.service.published if port.inside == part.port), None)
        if part.port:
            found["container_port"] = part.port
        if first and first.outside and part.service.replicas == 1:
            found["port"] = first.outside
        if more := outside.more_ports(part):
            found["ports"] = more
        for port in part.service.published:
            if port.protocol != "tcp":
                self._report.drop((part.service.name, "ports"), f"{port.inside}/{port.protocol} isn't published",
                                  "only TCP is")  # fmt: skip
            elif port.inside in more.values() and port.outside not in (0, port.inside):
                self._report.drop((part.service.name, "ports"), f"{port.inside} isn't published as {port.outside}",
                                  f"it is {port.inside} here too, where that is free")  # fmt: skip
        return found

    def _mounts(self, part: Part) -> Iterator[str]:
        for mount in part.service.mounts:
            mode = ":ro" if mount.is_read_only else ""
            if not re.fullmatch(r"/[^:\0]*[^:/\0]", mount.target):
                continue
            if mount.form == "volume":
                yield f"{outside.volume_name(part, mount.source, mount.target)}:{mount.target}{mode}"
            elif mount.form == "bind" and is_inside(mount.source):
                source = posixpath.normpath(mount.source)
                yield f"{'.' if source == '.' else f'./{source}'}:{mount.target}{mode}"
            else:
                why = f"{mount.source} is outside of the project" if mount.source else f"{mount.target} isn't in memory"
                self._report.drop((part.service.name, "volumes"), why, "a folder of the project, or a named volume")

    # --- both --------------------------------------------------------------------------------------------------------

    def _needs(self, part: Part, environment: Mapping[str, str], run: str) -> list[str]:
        """What it depends on by the file, and what its texts name; every task comes before."""
        texts = " ".join((*environment.values(), run))
        named = [name for _, name in _REFERENCE.findall(texts)]
        declared = [self._by_service[name].name for name in part.service.depends if name in self._by_service]
        known = {one.name: one for one in self._parts if one.form != "task"}
        processes = {one.name for one in self._parts if one.is_app}
        # who merely names another process doesn't wait for it: they may name each other
        found = [name for name in (*declared, *(one for one in named if one not in processes)) if name in known]
        found = [name for name in found if not (known[name].is_off or name == part.name)]
        before = self._depended(part.service.name, set())
        tasks = [name for name in self._tasks if part.form == "process" or self._sources.get(name) in before]
        return list(dict.fromkeys((*found, *tasks)))

    def _depended(self, name: str, found: set[str]) -> set[str]:
        """All that a service depends on, by what the file says."""
        for other in self._by_service[name].service.depends if name in self._by_service else ():
            if other not in found:
                found.add(other)
                self._depended(other, found)
        return found

    def _env_files(self, part: Part) -> dict[str, Any]:
        found: list[Any] = []
        for path, _ in part.service.env_files:
            if not is_inside(path):
                self._report.drop((part.service.name, "env_file"), f"{path} is outside of the project",
                                  "a file of the project, or [env]")  # fmt: skip
            elif path in part.missing:
                found.append({"path": path, "required": False})
            else:
                found.append(path)
        return {"env_file": found} if found else {}

    def _is_awaited(self, service: str) -> bool:
        return any(part.service.depends.get(service) == "service_completed_successfully" for part in self._parts)

    def _free(self, name: str) -> str:
        number, found = 2, name
        while found in self._taken or found in self._tasks:
            found = f"{name[:37]}-{number}"
            number += 1
        return found


def _optional(one: Converted) -> Converted:
    """Somebody else's program, which nothing of this machine waits for: without an engine, or its image, all else comes
    up."""
    if one.is_native:
        return one
    said = "Nothing here needs it: the rest comes up without it too."
    return replace(one, table={**one.table, "optional": True}, comments=(*one.comments, said))


def shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."


def _hidden(run: str) -> tuple[str, dict[str, str]]:
    """A command for a shell that takes from variables what a command line must not show, and those variables."""
    variables: dict[str, str] = {}

    def variable(found: re.Match[str]) -> str:
        name = found[3] or re.sub(r"[^A-Z0-9]+", "_", f"{found[1]}_{found[2]}".upper())
        variables[name] = found[0]
        return f"${name}"

    return _SECRET.sub(variable, run), variables


def _build(build: Mapping[str, object]) -> Any:
    context = _inside_project(str(build.get("context") or "."))
    args = build.get("args")
    table = {
        "context": context, "dockerfile": build.get("dockerfile"), "target": build.get("target"),
        "args": {name: value for name, value in args.items() if value is not None} if isinstance(args, dict) else None,
    }  # fmt: skip
    found = {key: value for key, value in table.items() if value}
    return context if len(found) == 1 else found


def _inside_project(path: str) -> str:
    path = posixpath.normpath(path)
    return path if is_inside(path) else "."

