"""Which profile a file extends. Reading the chain of files is the caller's; the rules of the chain are here."""

from __future__ import annotations

from collections.abc import Sequence

from devstack.errors import Mistake, ProfileError
from devstack.profile.locate import line_of
from devstack.profile.source import SourceFile, parse

MAX_CHAIN = 16


def is_shipped(name: str) -> bool:
    """Whether `extends` names a profile that devstack ships; anything with a slash or `.toml` is a relative path."""
    return "/" not in name and not name.endswith(".toml")


def extends_of(file: SourceFile) -> str | None:
    """What the file extends: a shipped profile's name, or a path relative to the file. Raises ProfileError."""
    base = parse(file).get("extends")
    if base is None:
        return None
    if not isinstance(base, str) or not base.strip() or base.startswith(("/", "~")):
        text = "wanted a shipped profile's name or a path relative to this file"
        line = line_of(file, ("extends",))
        raise ProfileError(f"{file.name} extends nothing", (Mistake(file.name, line, "extends", text),))
    return base


def ensure_no_cycle(file: SourceFile, base: str, chain: Sequence[str]) -> None:
    """Raises ProfileError if `base` is in the chain of files already read (shipped names or resolved paths), the
    project's own first; `file` is the one that names it."""
    if base not in chain and len(chain) < MAX_CHAIN:
        return
    text = "profiles extend each other: " + " → ".join((*chain[chain.index(base) :], base)) if base in chain else (
        f"more than {MAX_CHAIN} profiles extend each other"
    )
    mistake = Mistake(file.name, line_of(file, ("extends",)), "extends", text, "take one `extends` out")
    raise ProfileError(f"{file.name} extends itself" if base in chain else "too many `extends`", (mistake,))
