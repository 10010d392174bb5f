"""From the texts of compose files to a profile: what each service becomes, and what could not be carried over. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devstack.detect.compose import fitting, missing, outside, processes, unsupported
from devstack.detect.compose.addresses import Addresses, Target, with_asked
from devstack.detect.compose.defaults import defaults
from devstack.detect.compose.env_files import read_env
from devstack.detect.compose.interpolation import plain
from devstack.detect.compose.known import Known, known
from devstack.detect.compose.merging import Merged, Read, merged
from devstack.detect.compose.parts import Inside, Part, Sorter
from devstack.detect.compose.report import LeftOut, Report
from devstack.detect.compose.secrets import Secrets
from devstack.detect.compose.shapes import composed
from devstack.detect.compose.writing import write
from devstack.errors import UsageError
from devstack.profile.model import name_from

#: names that compose itself reads, in this order; of an override only the first that is there
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
#: they say it before a requirements file does
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "pyproject.toml")
OVERRIDES = ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yml")


@dataclass(frozen=True)
class Became:
    """service: as the compose file calls it. what: `services.db (postgres 16)`, in words."""

    service: str
    what: str


@dataclass(frozen=True)
class Imported:
    """text: of a devstack.toml. left_out: what it doesn't say."""

    text: str
    became: tuple[Became, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Project:
    """names: of the compose files. code: texts of the Python files."""

    names: Sequence[str]
    read: Read
    code: Iterable[str]

    def defaults(self, parts: Sequence[Part]) -> dict[str, str]:
        """What the code takes for variables that nobody set; what the settings say that are named counts first."""
        modules = dict.fromkeys(plain(part.env["DJANGO_SETTINGS_MODULE"]) for part in parts
                                if part.env.get("DJANGO_SETTINGS_MODULE"))  # fmt: skip
        paths = (f"{place}{module.replace('.', '/')}.py" for module in modules for place in ("", "src/"))
        return defaults((*filter(None, map(self.read, paths)), *self.code))


def convert(
    names: Sequence[str], read: Read, environ: Mapping[str, str], default_name: str, code: Iterable[str] = ()
) -> Imported:
    """names: paths of the compose files in the project, later ones laid over earlier ones. environ: variables that win
    over those of `.env`. default_name: of the project. code: texts of its Python files, which may name services where
    the compose file doesn't. Raises UsageError for what compose couldn't read either."""
    home = posixpath.dirname(names[0])
    file = posixpath.join(home, ".env")
    values = {**read_env(file, read(file) or "", environ)[0], **environ}
    whole = merged(names, read, values)
    if not whole.value.get("services"):
        raise UsageError(
            "compose-invalid", f"{names[0]} has no services", why="there is nothing to take over", fix="devstack init"
        )
    return _Conversion(whole, _Project(names, read, code), values, default_name).result()


class _Conversion:
    def __init__(self, whole: Merged, project: _Project, values: Mapping[str, str], default_name: str) -> None:
        self.report = Report(whole.place)
        self.secrets = Secrets(self.report)
        self._whole = whole
        self._project = project
        self._name = name_from(str(whole.value.get("name") or default_name))
        services = {name: composed(name, one) for name, one in whole.value["services"].items()}
        profiles = frozenset(values.get("COMPOSE_PROFILES", "").split(",")) - {""}
        self.parts = [part for part in Sorter(services, project.read, profiles).parts() if self._is_kept(part)]
        for part in self.parts:
            if part.form == "kind":
                fitting.tell_changes(part, self.report)
        self._defaults = project.defaults(self.parts)
        self.known: dict[str, Known] = {
            part.name: known(part.service, part.env, part.name, self.report)
            for part in self.parts if part.form == "kind"
        }  # fmt: skip
        self.targets = self._targets()
        self._here = Addresses(self.targets)
        self._inside = Addresses(self.targets, inside=True)

    def result(self) -> Imported:
        project = self._project
        missing.tell(self._whole.value, self.parts, (project.names[0], project.read), self.report, self._again())
        unsupported.drop_top_level(self._whole.value, self.report)
        for part in self.parts:
            unsupported.drop_unsupported(
                part.service, self.report, is_contained=part.form in ("contained", "container"),
                is_kind=part.form == "kind",
            )
        # all secrets are known before anybody logs in with one
        for part in sorted(self.parts, key=lambda one: one.form == "container"):
            if part.form != "kind":
                self.environment_of(part)
        made = processes.Processes(
            self.parts, self.report, self.text_of, self.environment_of, processes.Project(project.read, self._defaults)
        )
        converted = made.made()
        services = {
            part.name: self._kind(part) if part.form == "kind" else self._container(part)
            for part in self.parts if part.form in ("kind", "container")
        }  # fmt: skip
        called = {part.name: part.service.name for part in self.parts}
        tables = {one.name: dict(one.table) for one in converted}
        fitting.ports_once(services | {name: tables[name] for name in called if name in tables}, called, self.report)
        files = _common_files(converted)
        env, own = _shared(converted, self.secrets.values, {} if files else self._in_files())
        values = {
            "name": self._name, "env_file": files or None, "python": _python(self.parts, self._project.read),
            "services": services, "env": env,
            **{
                section: {
                    one.name: {**_without(tables[one.name], files),
                               **({"env": own[one.name]} if own.get(one.name) else {})}
                    for one in converted if one.section == section
                }
                for section in ("tasks", "processes")
            },
        }  # fmt: skip
        self._tell_ambiguous()
        comments = {("services", name): one.comments for name, one in self.known.items()}
        comments |= {(one.section, one.name): one.comments for one in converted}
        text = write(values, comments, project.names, self.report.found)
        became = (*self._became(services), *_tasks(converted, self.parts))
        return Imported(text, became, tuple(self.report.found))

    def _again(self) -> str:
        """What is run once something has changed."""
        return f"devstack init --from {' --from '.join(map(shlex.quote, self._project.names))} --yes"

    def _in_files(self) -> dict[str, frozenset[str]]:
        """Names that a process's own env files say, which win over `[env]`."""
        return {
            part.name: frozenset(part.env) - frozenset(part.service.environment)
            for part in self.parts if part.service.env_files
        }  # fmt: skip

    def _tell_ambiguous(self) -> None:
        for name, targets in {**self._here.ambiguous, **self._inside.ambiguous}.items():
            part = next((one for one in self.parts if name in one.service.environment), self.parts[0])
            self.report.drop(
                (part.service.name, "environment", name),
                f"one value was for {' and '.join(targets)}, which have passwords of their own now: it is the first's",
                "one service instead of several, with all their `databases` or `vhosts`",
            )

    def _is_kept(self, part: Part) -> bool:
        if part.form != "kind" and not fitting.has_image(part, self.report):
            return False
        if part.form == "container" and fitting.is_of_volumes(part, self.report):
            return False
        if part.is_off and not part.is_app:
            names = ", ".join(part.service.profiles)
            again = f"COMPOSE_PROFILES={part.service.profiles[0]} {self._again()}"
            self.report.drop((part.service.name, "profiles"), f"it is only there with `--profile {names}`", again)
            return False
        return True

    # --- names -------------------------------------------------------------------------------------------------------

    def _targets(self) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for part in self.parts:
            if part.form == "task":
                continue
            target = self._target(part)
            for name in _hostnames(part):
                found.setdefault(name, target)
        return found

    def _target(self, part: Part) -> Target:
        if one := self.known.get(part.name):
            return Target(
                "services", part.name, one.kind, {one.port: f"services.{part.name}.port"}, one.port, one.user,
                one.password, one.database, has_password=one.table.get("password", True),
            )
        if part.form == "container":
            ports = {
                inside: f"services.{part.name}.port" if name == "main" else f"services.{part.name}.ports.{name}"
                for name, inside in outside.named_ports(part).items()
            }
            return Target("services", part.name, "", ports, part.port)
        main = {part.port: f"processes.{part.name}.port"} if outside.has_port(part) else {}
        others = {
            inside: f"processes.{part.name}.ports.{name}" for name, inside in outside.more_ports(part).items()
        }
        port = part.port if main else 0
        return Target("processes", part.name, "", {**others, **main}, port, is_contained=part.form == "contained")

    def text_of(self, part: Part, value: str) -> str:
        """A text that may name others."""
        made = (self._here if part.form in ("process", "task") else self._inside).text(plain(value))
        return with_asked(self.secrets.replaced_in(made))

    def environment_of(self, part: Part) -> dict[str, str]:
        """All of a service's environment as texts of a profile; what its env files say, and what the code takes where
        nobody says anything, only where that must change."""
        is_here = part.form in ("process", "task")
        own = fitting.environment(part, part.env, self.report, is_here=is_here)
        is_of_code = is_here or part.build is not None
        env = {**({name: text for name, text in self._defaults.items() if fitting.is_ours(name)} if is_of_code else {}),
               **own}  # fmt: skip
        made = (self._here if is_here else self._inside).environment(env)
        has_files = part.form != "container"
        found: dict[str, str] = {}
        for name, text in made.items():
            if name not in part.env:
                found |= {name: text} if text != _same(env[name]) else {}
                continue
            value = part.env[name]
            is_of_image = is_here and part.stage.env.get(name) == value
            is_own = name in part.service.environment or name in part.filled or is_of_image or not has_files
            if not is_own and (known := self.secrets.known(value)):
                found[name] = known
                continue
            if text == _same(value):
                secret = self.secrets.replaced(part.service.name, name, value) if is_own else None
                if secret is None and is_own:
                    self.secrets.ask(value)
                    secret = with_asked(text)
                if secret is not None:
                    found[name] = secret
            elif part.form != "contained" or part.build or name in part.service.environment:
                self.secrets.ask(text)
                found[name] = with_asked(self.secrets.without_login(part.service.name, name, text))
        return found

    # --- services ----------------------------------------------------------------------------------------------------

    def _kind(self, part: Part) -> dict[str, Any]:
        one, target = self.known[part.name], self.targets[part.service.name]
        more = [name for name in target.databases if name not in one.table.get("databases", ())]
        if not more:
            return dict(one.table)
        return {**one.table, "databases": [*one.table.get("databases", ()), *more]}

    def _container(self, part: Part) -> dict[str, Any]:
        service = part.service
        table: dict[str, Any] = {"kind": "container", "image": service.image}
        if ports := outside.named_ports(part):
            table["ports"] = ports
        first = next((port for port in service.published if port.inside == part.port), None)
        if ports and first and first.outside not in (0, ports["main"]):
            table["port"] = first.outside
        if environment := self.environment_of(part):
            table["environment"] = environment
        if volumes := outside.inner_volumes(part, self.report):
            table["volumes"] = volumes
        if service.command:
            table["command"] = [self.text_of(part, word) for word in service.command]
        if check := outside.ready(part, self.report):
            table["ready"] = check
        if service.memory:
            table["memory"] = service.memory
        return table

    def _became(self, services: Mapping[str, Any]) -> Iterator[Became]:
        for part in self.parts:
            if part.form == "kind":
                one = self.known[part.name]
                version = f" {one.table['version']}" if "version" in one.table else ""
                yield Became(part.service.name, f"[services.{part.name}] {one.kind}{version}")
            elif part.form == "container":
                yield Became(part.service.name, f"[services.{part.name}] a container of {part.service.image}")
            elif part.form == "task":
                yield Became(part.service.name, f"[tasks.{part.name}]")
            else:
                where = "a process here" if part.form == "process" else "a process in a container"
                yield Became(part.service.name, f"[processes.{part.name}] {where}")


def _tasks(converted: Sequence[processes.Converted], parts: Sequence[Part]) -> Iterator[Became]:
    """What runs once and is no service of its own in the file."""
    own = {part.name for part in parts}
    for one in converted:
        if one.section == "tasks" and one.name not in own:
            lines = str(one.table["run"]).splitlines()
            run = next((line for line in lines if not re.match(r"(export )?\w+=\S*$", line)), lines[-1])
            yield Became(one.name, f"[tasks.{one.name}] {run}")


def _same(value: str) -> str:
    return value.replace("${", "$${")


def _hostnames(part: Part) -> Iterator[str]:
    """Every name that others in the file may call it by."""
    service = part.service
    yield service.name
    for key in ("container_name", "hostname"):
        if isinstance(name := service.values.get(key), str):
            yield plain(name)
    networks = service.values.get("networks")
    for settings in networks.values() if isinstance(networks, dict) else ():
        if isinstance(settings, dict):
            yield from (str(alias) for alias in settings.get("aliases") or ())


def _shared(
    converted: Sequence[processes.Converted], secrets: Mapping[str, Any], in_files: Mapping[str, frozenset[str]]
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """`[env]`, and what is left for each process: what the processes of this machine agree on is everybody's. in_files:
    names that stay a process's own."""
    apps = [one for one in converted if one.is_native] or list(converted)
    env: dict[str, Any] = {}
    for one in apps:
        for name, text in one.env.items():
            users = [other for other in apps if name in other.env]
            if all(other.env[name] == text for other in users) and 2 * len(users) >= len(apps):
                env[name] = text
    env = {name: text for name, text in env.items() if text != f"${{env.{name}}}" and name not in secrets}
    whole = {**env, **secrets}
    own = {
        one.name: {
            name: text for name, text in one.env.items()
            if name in in_files.get(one.source, ()) or (env.get(name) != text and text != f"${{env.{name}}}")
        }
        for one in converted
    }  # fmt: skip
    return whole, own


def _common_files(converted: Sequence[processes.Converted]) -> list[Any]:
    """The env files, where all processes have the same."""
    found = [one.table.get("env_file") for one in converted if one.section == "processes"]
    return found[0] if found and found[0] and all(one == found[0] for one in found) else []


def _without(table: Mapping[str, Any], files: Sequence[Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if not (files and key == "env_file")}


def _python(parts: Sequence[Part], read: Read) -> dict[str, Any]:
    """What is installed where: what the Dockerfiles of the processes here install."""
    native = [part for part in parts if part.form in ("process", "task")]
    if not native:
        return {"install": []}
    table: dict[str, Any] = {}
    versions = [part.stage.python for part in native if part.stage.python]
    if versions:
        table["version"] = versions[0]
    context = str((native[0].build or {}).get("context") or ".")
    project = _project(read(posixpath.normpath(posixpath.join(context, "pyproject.toml"))) or "")
    for key, names, declared in (
        ("groups", [name for part in native for name in part.stage.groups], project.get("dependency-groups")),
        ("extras", [name for part in native for name in part.stage.extras],
         project.get("project", {}).get("optional-dependencies")),
    ):
        all_known = list(declared) if isinstance(declared, dict) else []
        wanted = all_known if "*" in names else [name for name in dict.fromkeys(names) if name in all_known]
        if wanted and posixpath.normpath(context) == ".":
            table[key] = wanted
    itself = [path for part in native for path in part.stage.requirements if path.startswith(".") and "/" not in path]
    files = [
        Inside(part.service, part.stage, part.build, read).file(path)
        or posixpath.normpath(posixpath.join(context, re.sub(r"^(\./|/(\S*/)?)", "", path)))
        for part in native for path in part.stage.requirements if path not in itself
    ]  # fmt: skip
    there = [file for file in dict.fromkeys(files) if read(file) is not None]
    if there and itself and posixpath.normpath(context) == ".":
        there += dict.fromkeys(itself)
    # what stands in the usual place is found without
    if there and not (there == ["requirements.txt"] and all(read(name) is None for name in _LOCKS)):
        table["install"] = there
    return table


def _project(text: str) -> dict[str, Any]:
    """A pyproject.toml, empty where there is none that can be read."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
