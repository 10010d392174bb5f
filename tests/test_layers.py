"""The architecture, read off the source: who may import whom, what the pure layers never touch, how big things get."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "devstack"

#: lowest first; a name stands for a module or for a whole package
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"devstack", "errors"}),
    frozenset({"profile"}),
    frozenset({"services", "detect", "state", "status", "wire"}),
    frozenset({
        "actions", "plan", "planner", "programs", "environment", "masking", "project_files", "render", "taking_down",
        "timings", "away", "branches", "completing", "composing", "contained", "due", "images", "keeping", "layout",
        "redacting", "viewpoint", "watching", "ci", "doctor",
    }),
    frozenset({"evidence", "files", "globs", "network", "processes", "relays", "room", "system"}),
    frozenset({
        "bytecode", "checkout", "data_seeds", "installers", "interpreters", "orphans", "python_env", "registry",
        "resources", "runtimes", "shared_answer", "site_packages", "snapshot_files", "snapshots", "standing",
        "supervised", "supervisor", "supervisor_answers", "supervisor_logs", "supervisor_rpc", "supervisord",
        "system_packages", "trust",
    }),
    frozenset({"executor"}),
    frozenset({"stack"}),
    frozenset({"output", "dashboard"}),
    frozenset({"cli", "__main__"}),
)
PURE = frozenset().union(*LAYERS[:4])

#: no clock, chance, disk, process or network
IMPURE = frozenset({
    "asyncio", "fcntl", "filelock", "glob", "http", "io", "multiprocessing", "os", "platform", "psutil",
    "random", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time",
    "urllib.request", "uuid",
})
#: modules of the standard library that are pure although what holds them isn't
PURE_PARTS = frozenset({"os.path", "pathlib.PurePath", "pathlib.PurePosixPath"})
#: (module, import) → why the design allows it
ALLOWED = {
    ("profile.env_file", "io"): "python-dotenv's parser takes a stream; a StringIO is no file",
    ("services.postgres", "time"): "deadlines of provision(), which only the executor calls (decision 0002)",
    ("services._postgres_sessions", "time"): "the same",
    ("services._postgres_snapshots", "time"): "the same",
    ("wire.stream", "socket"): "what probe() talks through, which only the executor calls (decision 0007)",
    ("wire.stream", "time"): "deadlines of the same",
    ("wire.erlang", "os"): "chance for the challenge of a handshake, and a name that no other process has",
    ("wire.postgres", "os"): "chance for the nonce of a login; `secrets` takes 3 ms to import",
}
HEAVY = frozenset({
    "amqp", "cronsim", "docker", "dotenv", "honcho", "jinja2", "psutil", "psycopg", "pydantic", "questionary", "redis",
    "rich", "ruamel", "supervisor", "tomlkit", "uv", "virtualenv", "watchfiles",
})
#: a program of its own, which nothing imports: it is supervisord, and makes processes as that does
DAEMON = "supervisord"
#: what a service kind may touch the machine with
DOORS = frozenset({"probe", "provision", "execute"})


@dataclass(frozen=True)
class Import:
    """target: dotted, with the imported name where that could be a module. inside: names of the enclosing functions."""

    target: str
    line: int
    inside: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """One file of the package. name: dotted, without `devstack.`; the package itself is `devstack`."""

    name: str
    path: Path

    @property
    def unit(self) -> str:
        return self.name.partition(".")[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, ()))

    @cached_property
    def calls(self) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
        """Every call as `a.b.c`, its line, and the functions around it."""
        return tuple(_calls(self.tree, ()))

    @cached_property
    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        return tuple(node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    @property
    def inner(self) -> tuple[Import, ...]:
        """Imports of our own package, as names of modules."""
        found = []
        for one in self.imports:
            if one.target == "devstack" or one.target.startswith("devstack."):
                name = one.target.removeprefix("devstack.")
                if name not in MODULES:
                    name = name.rpartition(".")[0] or "devstack"
                found.append(Import(name, one.line, one.inside))
        return tuple(found)


def _imports(node: ast.AST, inside: tuple[str, ...]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are absolute"
            yield from (Import(f"{child.module}.{alias.name}", child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, (*inside, child.name))
        else:
            yield from _imports(child, inside)


def _calls(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield ast.unparse(child.func), child.lineno, inside
        deeper = (*inside, child.name) if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else inside
        yield from _calls(child, deeper)


def _modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "devstack"
        found[name] = Module(name, path)
    return found


MODULES = _modules()


def layer(module: str) -> int:
    unit = module.partition(".")[0]
    (found,) = [number for number, units in enumerate(LAYERS) if unit in units] or [-1]
    return found


def pure_modules() -> Iterator[Module]:
    return (module for module in MODULES.values() if module.unit in PURE)


def test_every_module_has_exactly_one_layer() -> None:
    """A new module is given its place here, before anything imports it."""
    assert [name for name in MODULES if layer(name) < 0] == []
    assert sum(map(len, LAYERS)) == len(frozenset().union(*LAYERS))


def test_imports_go_down() -> None:
    """No module imports from a higher layer, not inside a function nor for type checking either."""
    wrong = [
        f"{module.name}:{one.line} imports {one.target}"
        for module in MODULES.values() for one in module.inner if layer(one.target) > layer(module.name)
    ]
    assert wrong == []


def test_no_import_cycle() -> None:
    """Modules of one layer may import each other, but not in a circle."""
    graph = {module.name: {one.target for one in module.inner} - {module.name} for module in MODULES.values()}
    done: set[str] = set()

    def cycle_from(name: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if name in trail:
            return (*trail[trail.index(name) :], name)
        if name in done:
            return ()
        for needed in sorted(graph[name]):
            if found := cycle_from(needed, (*trail, name)):
                return found
        done.add(name)
        return ()

    assert [found for name in graph if (found := cycle_from(name, ()))] == []


def test_one_door_to_processes_and_sockets() -> None:
    """Only system.py and its network.py import subprocess or socket, whatever the way (asyncio, os.system …).

    One more has sockets: wire/stream.py, bounded conversations on this machine, since `system` is above the service
    kinds and takes longer to import than a whole look at a standing stack may take (decision 0007).
    """
    sockets = {("wire.stream", "socket"), ("network", "socket")}
    doors = ("subprocess", "socket", "socketserver", "asyncio", "multiprocessing", "pty")
    wrong = [
        f"{module.name}:{one.line} imports {one.target}"
        for module in MODULES.values() if module.name != "system"
        for one in module.imports
        if one.target.partition(".")[0] in doors and (module.name, one.target) not in sockets
    ]
    launches = ("os.system", "os.popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.startfile")
    wrong += [
        f"{module.name}:{line} calls {call}"
        for module in MODULES.values() if module.name not in ("system", DAEMON)
        for call, line, _ in module.calls if call.startswith((*launches, "os.exec", "os.spawn"))
    ]
    assert wrong == []


def test_only_output_prints() -> None:
    """Nothing else writes to a standard stream; but `--help` must not wait for `output` (cli/streams.py)."""
    wrong = [
        f"{module.name}:{line} calls {call}"
        for module in MODULES.values() if module.unit not in ("output", "dashboard") and module.name != "cli.streams"
        for call, line, _ in module.calls
        if call in ("print", "click.echo", "click.secho", "traceback.print_exc", "input")
        or call.startswith(("sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer", "sys.stderr.buffer"))
    ]
    assert wrong == []


def test_only_cli_exits() -> None:
    """Everything below raises an error of devstack's own."""
    exits = ("sys.exit", "os._exit", "exit", "quit", "SystemExit", "os.abort")
    wrong = [
        f"{module.name}:{line} calls {call}"
        for module in MODULES.values() if module.unit not in ("cli", "__main__")
        for call, line, _ in module.calls if call in exits
    ]
    assert wrong == []


def test_pure_layers_import_nothing_of_the_machine() -> None:
    """No clock, chance, disk, process or network below `files`; only probe() and provision() of a service kind."""
    wrong = []
    for module in pure_modules():
        for one in module.imports:
            reason = ALLOWED.get((module.name, one.target))
            if module.unit == "services" and DOORS.intersection(one.inside):
                continue
            if any(one.target == name or one.target.startswith(f"{name}.") for name in PURE_PARTS) or reason:
                continue
            roots = {one.target, one.target.partition(".")[0], one.target.rpartition(".")[0]}
            if roots & IMPURE or one.target in ("pathlib", "pathlib.Path"):
                wrong.append(f"{module.name}:{one.line} imports {one.target}")
    assert wrong == []


def test_pure_layers_open_nothing() -> None:
    """Nor do they call what reads a file or the clock, or prints."""
    names = ("open", "print", "input", "exec", "eval")
    methods = (
        ".read_text", ".read_bytes", ".write_text", ".write_bytes", ".exists", ".is_file", ".is_dir", ".now", ".utcnow",
        ".today",
    )
    wrong = [
        f"{module.name}:{line} calls {call}"
        for module in pure_modules() for call, line, _ in module.calls if call in names or call.endswith(methods)
    ]
    assert wrong == []


def test_allowances_are_used() -> None:
    """An exception that nobody needs any more is taken back."""
    used = {(module.name, one.target) for module in MODULES.values() for one in module.imports}
    assert [pair for pair in ALLOWED if pair not in used] == []


def test_files_and_functions_stay_small() -> None:
    """At most 400 lines a file and 45 a function, so that each fits a head."""
    wrong = [
        f"{module.name} has {lines} lines"
        for module in MODULES.values() if (lines := module.text.count("\n")) > 400
    ]
    wrong += [
        f"{module.name}.{function.name} has {lines} lines"
        for module in MODULES.values() for function in module.functions
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > 45
    ]
    assert wrong == []


def test_at_most_six_positional_parameters() -> None:
    """More are passed as one frozen value, or by keyword."""
    wrong = []
    for module in MODULES.values():
        for function in module.functions:
            names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
            if len([name for name in names if name not in ("self", "cls")]) > 6:
                wrong.append(f"{module.name}.{function.name}({', '.join(names)})")
    assert wrong == []


def test_no_module_is_named_utils() -> None:
    vague = {"utils", "util", "helpers", "common", "misc", "tools"}
    assert [name for name in MODULES if name.rpartition(".")[2] in vague] == []


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("no-such-verb",)])
def test_the_command_line_loads_no_heavy_library(words: tuple[str, ...]) -> None:
    """What needs no stack must not pay for what stacks need."""
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "from devstack.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=60,
        cwd=PACKAGE.parent, env={key: value for key, value in os.environ.items() if key != "SUDO_UID"},
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "devstack" in loaded
    assert sorted(loaded & HEAVY) == []
