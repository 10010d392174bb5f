"""What a person has trusted, by project: the content of everything that says what runs, and who owned its folder.

Kept in this user's state folder, never in a project, one private file each. Texts are kept for the diff that is shown
when one changes; of env files, which hold secrets, there is a digest only.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from devstack.system import System

Kind = Literal["profile", "template", "env file", "script", "build"]

_LONGEST_TEXT = 64_000
_DIFF_LINES = 40


@dataclass(frozen=True)
class Item:
    """One thing that says what runs. name: path as shown. text: for the diff; None where it isn't kept."""

    name: str
    kind: Kind
    digest: str
    text: str | None = None


@dataclass(frozen=True)
class Material:
    """Everything that trust in a project is bound to. root: its real path. owner: user id of its folder's owner."""

    root: str
    owner: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Change:
    """What isn't as it was trusted. diff: lines of a unified diff, where the text may be shown."""

    name: str
    kind: str
    how: Literal["changed", "new", "gone"]
    diff: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}) {'is ' if self.how != 'changed' else ''}{self.how}"


def item(name: str, kind: Kind, content: bytes) -> Item:
    """An item for a file's content; the text is kept where it is short, is one, and holds no secrets."""
    text = None
    if kind != "env file" and len(content) <= _LONGEST_TEXT and b"\0" not in content:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = None
    return Item(name, kind, hashlib.sha256(content).hexdigest(), text)


def changes(trusted: Material, now: Material) -> tuple[Change, ...]:
    """How things differ from what was trusted; () where they don't."""
    before = {(one.kind, one.name): one for one in trusted.items}
    after = {(one.kind, one.name): one for one in now.items}
    found = [Change(now.root, "folder, which belongs to another user now", "changed")] * (trusted.owner != now.owner)
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            found.append(Change(key[1], key[0], "new" if old is None else "gone"))
        elif old.digest != new.digest:
            found.append(Change(key[1], key[0], "changed", tuple(_diff(old, new))))
    return tuple(found)


def _diff(old: Item, new: Item) -> Iterator[str]:
    if old.text is None or new.text is None:
        return
    lines = list(difflib.unified_diff(
        old.text.splitlines(), new.text.splitlines(), f"{old.name} (trusted)", f"{new.name} (now)", lineterm="", n=2
    ))  # fmt: skip
    yield from lines[:_DIFF_LINES]
    if len(lines) > _DIFF_LINES:
        yield f"… and {len(lines) - _DIFF_LINES} more lines"


class TrustStore:
    """folder: of this user's state."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder / "trust"

    def known(self, root: str) -> Material | None:
        """What was trusted at this place (a real path); None if nothing was, or where it can't be read."""
        try:
            raw = json.loads(self._system.read(self._file(root)) or "null")
            items = tuple(Item(**one) for one in raw["items"])
            found = Material(str(raw["root"]), int(raw["owner"]), items)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return found if found.root == root else None

    def trust(self, material: Material) -> None:
        """Bind trust to this content at this place. Raises StorageError."""
        self._system.private_folder(self._folder)
        self._system.write(self._file(material.root), json.dumps(asdict(material), indent=1) + "\n")

    def forget(self, root: str) -> None:
        """Take trust back."""
        self._file(root).unlink(missing_ok=True)

    def _file(self, root: str) -> Path:
        return self._folder / f"{hashlib.sha256(root.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
