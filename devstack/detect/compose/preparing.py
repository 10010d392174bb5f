"""What a project needs before its processes run, that a compose file leaves to an entrypoint or to a person."""

from __future__ import annotations

import posixpath
from typing import Any

from devstack.detect.compose.merging import Read

#: what examples of an env file are called
_EXAMPLES = ("{}.example", "{}.sample", "{}.template", "{}.dist", "{}-example", "{}-dist", "{}.default")


def migration(folder: str, read: Read) -> dict[str, Any] | None:
    """A task that brings the schema of the application in a folder up to date; None where none is known for it."""
    place = {} if folder == "." else {"cwd": folder}
    if "django" in (read(posixpath.normpath(posixpath.join(folder, "manage.py"))) or "").lower():
        return {"run": "python manage.py migrate --noinput", **place, "inputs": ["**/migrations/*.py"]}
    if read(posixpath.normpath(posixpath.join(folder, "alembic.ini"))) is not None:
        return {"run": "alembic upgrade head", **place, "inputs": ["**/alembic.ini", "**/versions/*.py"]}
    return None


def example_of(path: str, read: Read) -> str:
    """The file that a missing env file is usually copied from, "" where there is none."""
    folder, name = posixpath.split(path)
    named = [pattern.format(name) for pattern in _EXAMPLES] + [f"example{name}", f"sample{name}"]
    named += ["example.env", "sample.env", "env.example", "env.sample", *(one.format(".env") for one in _EXAMPLES)]
    return next((one for one in (posixpath.join(folder, name) for name in named) if read(one) is not None), "")
