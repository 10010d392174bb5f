"""Every fault that the two runtimes can meet is injected by a test that is marked with its name.

`@pytest.mark.fault("B4")` marks a test that injects a fault and asserts its end: the exit code, the error's id, the
evidence, the command that is printed, and that nothing was lost. The marks are read off the sources.
"""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parent

FAULTS = {
    "A1": "git is missing",
    "A2": "no command of the engine",
    "A3": "an engine that this user may not ask",
    "A4": "an engine that is stopped",
    "A5": "an engine that hangs",
    "A6": "an engine that is too old",
    "A7": "no Compose, or an old one",
    "A8": "the wanted Python is absent",
    "A9": "a Python that can't make environments",
    "A10": "a server that no source has",
    "A11": "running as root",
    "A12": "too little memory or disk",
    "A13": "missing headers or tools of a build",
    "B1": "offline, all cached",
    "B2": "offline, not cached",
    "B3": "a clone that was killed",
    "B4": "the target folder holds something else",
    "B5": "a slow or stalled link",
    "B6": "a connection that is cut",
    "B7": "a registry of images that was asked too often",
    "B8": "an index or a registry that answers 503, then OK",
    "B9": "a certificate that nobody trusts",
    "B10": "a repository that wants a password",
    "B11": "a hash that doesn't match",
    "B12": "an installation that was killed",
    "B13": "a truncated wheel in the cache",
    "B14": "localhost that is ::1",
    "B15": "an image for another processor",
    "C4": "an engine without room",
    "D1": "a port taken by a foreign process",
    "D2": "a port taken by another stack",
    "D3": "a port taken by an orphan of our own",
    "D4": "a port that only looks taken",
    "D5": "a port taken between check and bind",
    "D6": "a port below 1024 without the right",
    "D7": "another server on the standard port",
    "D8": "a port conflict that leaves a container behind",
    "D9": "a port of the ephemeral range",
    "E12": "what a deleted project left on an engine",
    "E13": "containers of a devstack that was killed",
    "F1": "a half-created environment",
    "F2": "an interpreter that is gone",
    "F3": "an interpreter of another version behind the same link",
    "F4": "requirements that changed",
    "F5": "a package deleted by hand",
    "F6": "variables that leak in",
    "F7": "a path too long for a shebang, or with spaces",
    "F8": "a rebuild that fails",
    "G3": "a volume that knows another password",
    "G1": "data of another major version",
    "G2": "an image that declares its volume elsewhere",
    "G10": "a volume that was removed",
    "G11": "a snapshot that is cut short, or finds no room",
    "G12": "a snapshot that is truncated, tampered with, of another version",
    "G15": "a migration that fails midway",
    "G9": "a cookie that others may read",
    "G8": "a message server whose container is another one",
    "H1": "a container's name that a stranger has",
    "H2": "two networks of one name",
    "H3": "an engine that ends in the middle",
    "H4": "an engine, or somebody, that has ended containers",
    "H5": "a service that has another name by now",
    "H6": "a container that never gets ready",
    "J1": "spaces, quotes, $, emoji, newline in a path",
    "J2": "a path longer than a socket's",
    "J3": "HOME unset, missing, read-only",
    "J4": "LANG=C and ASCII output",
    "J5": "no terminal, NO_COLOR, closed streams, head",
    "J6": "a clock that jumps",
    "J7": "sudo",
    "J8": "a project behind a symbolic link",
    "J9": "names that collide where case doesn't count",
    "J10": "tools planted in the project",
    "J11": "the runtime folder is gone after a reboot",
    "L1": "a syntax mistake",
    "L2": "an unknown key",
    "L3": "cycles and missing references",
    "L4": "the same port or name twice",
    "L5": "what is no port",
    "L6": "a file made to exhaust the reader",
    "L8": "bytes that are no text",
    "L9": "a profile that is no file",
    "L10": "a profile edited while devstack runs",
    "L11": "an undefined variable",
    "S1": "a cloned profile runs commands",
    "S2": "parsing executes",
    "S3": "a file configures its own trust",
    "S4": "an edit after trust",
    "S5": "trust by link, move or swap",
    "S6": "shell injection by a value",
    "S7": "injection into generated files",
    "S8": "arguments in a git URL",
    "S9": "hostile submodules",
    "S10": "a repository's own git configuration",
    "S11": "services reachable from the network",
    "S12": "well-known passwords",
    "S13": "secret files that others can read",
    "S14": "secrets in argv, logs, git, reports",
    "S22": "an archive that leads out of its folder",
    "S32": "an env file's values in a report",
    "S29": "a report that tells secrets",
    "S15": "supervisord's control plane",
    "S27": "the engine's socket and folders of the machine in a container",
    "S31": "an image that is another one under the same name",
}
#: faults that only an engine of containers has, or a format that isn't read
ELSEWHERE = {
    "L7": "YAML isn't read yet",
}  # fmt: skip


def _marks() -> dict[str, list[str]]:
    """Test functions by the fault that marks them."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                for word in node.args:
                    found.setdefault(ast.literal_eval(word), []).append(f"{path.relative_to(TESTS)}:{node.lineno}")
    return found


def test_every_fault_has_a_test_that_injects_it() -> None:
    assert sorted(FAULTS.keys() - _marks().keys()) == []


def test_a_mark_names_a_fault_that_there_is() -> None:
    assert sorted(_marks().keys() - FAULTS.keys()) == []
    assert not FAULTS.keys() & ELSEWHERE.keys()
