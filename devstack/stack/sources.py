"""The layers of a project's profile, lowest precedence first: files, `devstack scale`, variables, flags."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack import services
from devstack.errors import UsageError
from devstack.profile import toml
from devstack.profile.extends import ensure_no_cycle, extends_of, is_shipped
from devstack.profile.load import Loaded, load
from devstack.profile.model import NAME, Profile
from devstack.profile.references import Fields
from devstack.profile.secret import Secret
from devstack.profile.source import Origin, SourceFile, from_pyproject
from devstack.resources import shared, shipped_profiles
from devstack.stack.paths import LOCAL, PROFILE
from devstack.stack.suggestion import no_profile
from devstack.system import storage_errors

#: more than any profile has; a device or a pipe is refused before
_LIMIT = 2_000_000


@dataclass(frozen=True)
class Found:
    """A profile and where it came from. is_given: named by the person, not found in the repository."""

    loaded: Loaded
    path: str
    is_given: bool


def read_profile(root: Path, given: str = "", above: Sequence[SourceFile] = ()) -> Found:
    """The project's profile: its own file, or the one given, with all that it extends and the local file on top.

    given: a path or a shipped profile's name. above: layers that win over every file. Raises ProfileError, UsageError.
    """
    base, folder = _given(given) if given else (_own(root), root)
    files = [*_chain(base, folder), base]
    if (root / LOCAL).exists():
        files.append(_read(root / LOCAL, LOCAL, "local"))
    shown = str(Path(given).expanduser().resolve()) if base.origin == "given" else given or base.name
    loaded = load([*files, *above], services.declarations(), fields=fields(), default_name=_name_of(root))
    return Found(loaded, shown, is_given=bool(given))


def profile_of(root: Path, text: str) -> Profile:
    """The profile that this text would be as the project's own. Raises ProfileError."""
    base = SourceFile(PROFILE, text, "project")
    return load([*_chain(base, root), base], services.declarations(), fields=fields()).profile


def shipped_profile(name: str) -> Profile:
    """A shipped profile by itself. Raises UsageError for an unknown name."""
    base, folder = _given(name)
    return load([*_chain(base, folder), base], services.declarations(), fields=fields(), default_name="stack").profile


def scale_layer(scale: Mapping[str, int]) -> tuple[SourceFile, ...]:
    """What `devstack scale` has kept, as a layer; none where it has kept nothing."""
    text = "".join(f"[processes.{toml.text(name)}]\nreplicas = {count}\n" for name, count in scale.items())
    return (SourceFile("devstack scale", text, "scale"),) if scale else ()


def setting_layers(environ: Mapping[str, str], runtime: str) -> tuple[SourceFile, ...]:
    """What a variable and a flag say of keys that a profile has too. runtime: of the flag, "" where it isn't given."""
    found: list[SourceFile] = []
    if said := environ.get("DEVSTACK_RUNTIME"):
        found.append(SourceFile("DEVSTACK_RUNTIME", f"runtime = {toml.text(said)}\n", "variable"))
    if said := environ.get("DEVSTACK_REGISTRY"):
        found.append(SourceFile("DEVSTACK_REGISTRY", f"registry = {toml.text(said)}\n", "variable"))
    if runtime:
        found.append(SourceFile("--runtime", f"runtime = {toml.text(runtime)}\n", "flag"))
    return tuple(found)


def _name_of(root: Path) -> str | None:
    """The folder's name as a stack's, where it can be one."""
    name = re.sub(r"[^a-z0-9_-]+", "-", root.name.lower()).strip("-_")[:40]
    return name if NAME.fullmatch(name) else None


def _own(root: Path) -> SourceFile:
    if os.path.lexists(root / PROFILE):
        return _read(root / PROFILE, PROFILE, "project")
    if (root / "pyproject.toml").exists():
        found = from_pyproject(_read(root / "pyproject.toml", "pyproject.toml", "project"))
        if found is not None:
            return found
    raise no_profile(root)


def _given(name: str) -> tuple[SourceFile, Path]:
    if is_shipped(name):
        return _shipped(name), shared("profiles")
    path = Path(name).expanduser()
    if not path.exists():
        raise UsageError(
            "no-profile", f"there is no profile {name}", why=f"{path} does not exist", fix="--profile FILE"
        )
    return _read(path.resolve(), str(path), "given"), path.resolve().parent


def _shipped(name: str) -> SourceFile:
    if name not in shipped_profiles():
        near = difflib.get_close_matches(name, shipped_profiles(), 1)
        raise UsageError(
            "no-profile", f"devstack ships no profile {name!r}", why=f"it ships {', '.join(shipped_profiles())}",
            fix=f"--profile {near[0]}" if near else "--profile ./FILE.toml",
        )
    return _read(shared("profiles") / f"{name}.toml", name, "shipped")


def _chain(base: SourceFile, folder: Path) -> list[SourceFile]:
    """What `base`, which lies in `folder`, extends; the lowest first."""
    found: list[SourceFile] = []
    names = [base.name]
    current = base
    while (name := extends_of(current)) is not None:
        key = name if is_shipped(name) else str((folder / name).resolve())
        ensure_no_cycle(current, key, names)
        names.append(key)
        if is_shipped(name):
            current = _shipped(name)
        else:
            path = folder / name
            if not path.is_file():
                raise UsageError(
                    "no-profile", f"{current.name} extends {name}, which is not there", why=f"{path} does not exist",
                    fix="correct `extends`",
                )
            current = _read(path, name, current.origin)
            folder = path.parent
        found.insert(0, current)
    return found


def _read(path: Path, name: str, origin: Origin) -> SourceFile:
    if not path.is_file():
        raise UsageError(
            "profile-not-a-file", f"{path} is no file", why="a profile is a TOML file", fix=f"ls -ld {path}"
        )
    with storage_errors(path), path.open("rb") as file:
        return SourceFile(name, file.read(_LIMIT), origin, path=os.path.realpath(path))


def fields() -> dict[str, Fields]:
    """What `${services.NAME.…}` offers, asked of each kind with a made-up instance."""
    found = {}
    for name in services.names():
        kind = services.get(name)
        sample = services.Instance(
            name=name, stack="stack", declaration=kind.declaration.model_construct(), ports={"main": 1, **kind.ports},
            user="user", password=Secret("password"), data="/data", sockets="/sockets",
        )
        values = kind.variables(sample)
        secret = frozenset(field for field, value in values.items() if isinstance(value, Secret))
        found[name] = Fields(frozenset(values), secret)
    return found
