"""What a profile refuses and a compose file may say: left out, and told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from devstack.detect.compose.commands import script_of
from devstack.detect.compose.parts import Part, is_inside
from devstack.detect.compose.report import Report
from devstack.profile.model import ENV_NAME, FOREIGN_ENV_NAME, Image

#: what installs an image, and where things are in it
_TOOLS = re.compile(r"PATH|(PIP|UV|POETRY|PDM|PIPENV)_\w+")
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


def is_of_volumes(part: Part, report: Report) -> bool:
    """Does it only prepare the volumes of others, and end? Tells so."""
    words = (*(part.service.entrypoint or ()), *(part.service.command or ()))
    text = script_of(words) or " ".join(words)
    if not re.match(r"(\S*/)?(chown|chmod|mkdir|touch|true|rm|cp)(\s|$)", text.strip()):
        return False
    report.drop((part.service.name, "command"), f"`{text.strip()}` isn't done: it is about volumes",
                "nothing: they are made for who runs the containers")  # fmt: skip
    return True


def tell_changes(part: Part, report: Report) -> None:
    """What a service's own Dockerfile makes of an image that is known."""
    changes = [one if len(one) <= 80 else f"{one[:77]}..." for one in part.stage.changes if not one.startswith("ENV ")]
    if changes:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        report.drop((part.service.name, "build"), f"{part.stage.base} without `{'`, `'.join(changes[:3])}`{more}",
                    f"an image that has it: `image` below [services.{part.name}]")  # fmt: skip


def environment(part: Part, values: Mapping[str, str], report: Report, *, is_here: bool) -> dict[str, str]:
    """Variables that a profile may set. is_here: for a process of this machine."""
    found = {}
    tools = []
    for name, text in values.items():
        if not is_ours(name, ENV_NAME if is_here else FOREIGN_ENV_NAME):
            report.drop((part.service.name, "environment", name), "it isn't a profile's to set", "another name")
        elif is_here and _TOOLS.fullmatch(name) and name in part.service.environment:
            tools.append(name)
        else:
            found[name] = text
    if tools:
        report.drop((part.service.name, "environment"), f"{', '.join(tools)}: of the tools in the image",
                    "the environment is made by devstack: [python]")  # fmt: skip
    return found


def is_ours(name: str, names: re.Pattern[str] = ENV_NAME) -> bool:
    """May a profile set it? names: which may be said where it is."""
    return bool(names.fullmatch(name)) and name != "VIRTUAL_ENV" and not name.startswith("DEVSTACK_")


def ports_once(tables: Mapping[str, dict[str, Any]], services: Mapping[str, str], report: Report) -> None:
    """Only the first of several may demand a port. services: as the file calls them, by name in the profile."""
    taken: dict[int, str] = {}
    for name, table in tables.items():
        port = table.get("port")
        if port is not None and (not 1 <= port <= 65535 or taken.setdefault(port, name) != name):
            del table["port"]
            report.drop((services[name], "ports"), f"port {port} is {taken.get(port, 'no port')}'s already",
                        "it is leased a free one; `port` fixes another")  # fmt: skip
