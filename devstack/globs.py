"""Files below a folder that globs match: the one way in which a project's inputs are found."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence

#: folders that hold nothing of the project's own
FOREIGN = frozenset({".git", ".devstack", ".venv", "venv", "node_modules", "__pycache__"})


def matching(root: str, globs: Sequence[str]) -> list[str]:
    """Paths relative to root, sorted; generated and foreign folders are never entered."""
    if not globs:
        return []
    wanted = re.compile("|".join(map(glob_pattern, globs)))
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in FOREIGN]
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else f"{inside}/"
        found += [f"{prefix}{name}" for name in files if wanted.fullmatch(f"{prefix}{name}")]
    # a socket, a pipe or a link to nowhere can't be read as an input
    return sorted(path for path in found if os.path.isfile(f"{root}/{path}"))


def glob_pattern(glob: str) -> str:
    """A glob with `**` as a regular expression (`glob.translate` comes with Python 3.13)."""
    # fnmatch's `*` would match a slash too
    parts = [
        "(?:[^/]+/)*" if part == "**" else fnmatch.translate(part)[4:-3].replace(".*", "[^/]*") + "/"
        for part in glob.split("/") if part != "."
    ]
    return "".join(parts).removesuffix("/") + (".*" if glob.endswith("**") else "")
