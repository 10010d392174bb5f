"""What a Procfile runs beside the web process: commands that no shipped profile knows, such as a worker's queues.

Pure. Format: https://devcenter.heroku.com/articles/procfile
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from devstack.detect.compose import commands
from devstack.profile.interpolation import escape
from devstack.profile.model import name_from

_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9_-]+):[ \t]*(?P<command>\S.*?)\s*$", re.MULTILINE)


def names(text: str) -> list[str]:
    return [found["name"] for found in _ENTRY.finditer(text)]


def processes(text: str, roles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Tables of `[processes]` by name. roles: of the processes that the shipped profile has, by name: one that does the
    same is what the entry's command is for, whatever the Procfile calls it.

    What serves pages is left to the profile: a Procfile means the server of production. So are tasks of a release.
    """
    found: dict[str, dict[str, Any]] = {}
    wanted = {name_from(one["name"]): one["command"] for one in _ENTRY.finditer(text) if one["name"] != "release"}
    for name, command in wanted.items():
        role = commands.role(command, has_port=name == "web" or "$PORT" in command)
        if role == "web":
            continue
        role = "worker" if role == "daemon" and "worker" in name else role
        same = [one for one, its in roles.items() if its == role and role != "daemon" and one not in {*wanted, *found}]
        known = name if name in roles else same[0] if same else ""
        table: dict[str, Any] = {} if known else {"role": role}
        table["run"] = escape(commands.native(command, role))
        if commands.needs_shell(command):
            table["shell"] = True
        found[known or name] = table
    return found
