"""What a profile refuses and a compose file may say: left out, and told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from devstack.detect.compose.parts import Part, is_inside
from devstack.detect.compose.report import Report
from devstack.profile.model import Image

_IMAGE: TypeAdapter[str] = TypeAdapter(Image)


def has_image(part: Part, report: Report) -> bool:
    """Can its image be had, one way or the other? Tells why not."""
    name, service = part.service.name, part.service
    if part.build is not None:
        context = str(part.build.get("context") or ".")
        if is_inside(context) and "dockerfile_inline" not in part.build:
            return True
        where = "a Dockerfile in the compose file" if "dockerfile_inline" in part.build else context
        report.drop((name, "build"), f"{where} isn't a folder of the project with a Dockerfile",
                    "put a Dockerfile into the project, and `build` to the process")  # fmt: skip
        return False
    try:
        _IMAGE.validate_python(service.image)
    except ValidationError:
        report.drop((name, "image") if "image" in service.values else (name,), f"{service.image!r} is no image",
                    "give its variable a value in .env, and run `devstack init` again")  # fmt: skip
        return False
    return True


def environment(part: Part, values: Mapping[str, str], report: Report) -> dict[str, str]:
    """Variables that a profile may set."""
    found = {}
    for name, text in values.items():
        if name == "VIRTUAL_ENV" or name.startswith("DEVSTACK_") or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            report.drop((part.service.name, "environment", name), "it isn't a profile's to set", "another name")
        else:
            found[name] = text
    return found


def ports_once(tables: Mapping[str, dict[str, Any]], services: Mapping[str, str], report: Report) -> None:
    """Only the first of several may demand a port. services: as the file calls them, by name in the profile."""
    taken: dict[int, str] = {}
    for name, table in tables.items():
        port = table.get("port")
        if port is not None and (not 1 <= port <= 65535 or taken.setdefault(port, name) != name):
            del table["port"]
            report.drop((services[name], "ports"), f"port {port} is {taken.get(port, 'no port')}'s already",
                        "it is leased a free one; `port` fixes another")  # fmt: skip
