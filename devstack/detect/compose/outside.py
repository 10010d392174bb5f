"""What of a container is seen from outside: its ports and volumes, and whether it is ready."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from devstack.detect.compose import health
from devstack.detect.compose.parts import Part
from devstack.detect.compose.report import Report
from devstack.profile.model import name_from


def has_port(part: Part) -> bool:
    """Does it get a port of its own in the profile?"""
    return part.is_app and (part.role == "web" or bool(part.port and (part.form == "contained" or part.service.ports)))


def named_ports(part: Part) -> dict[str, int]:
    """Ports of a container by name: `main` is the first that is published, or the one that others ask."""
    if not part.port:
        return {}
    return {"main": part.port, **more_ports(part)}


def more_ports(part: Part) -> dict[str, int]:
    """The ports inside beside the main one, by name."""
    found: dict[str, int] = {}
    for port in part.service.ports:
        name = name_from(port.name) if port.name else f"p{port.inside}"
        is_known = port.inside in (part.port, *found.values()) or name in ("main", *found)
        if port.protocol == "tcp" and not is_known:
            found[name] = port.inside
    return found


def inner_volumes(part: Part, report: Report) -> dict[str, str]:
    """Volumes of a container by name: folders inside."""
    found: dict[str, str] = {}
    for mount in part.service.mounts:
        if mount.form == "volume" and re.fullmatch(r"/[^:\0]*[^:/\0]", mount.target):
            found[volume_name(part, mount.source, mount.target)] = mount.target
        elif mount.form == "tmpfs":
            report.drop((part.service.name, "volumes"), f"{mount.target} isn't in memory", "a volume below `volumes`")
    return found


def ready(part: Part, report: Report) -> dict[str, Any] | None:
    return health.ready(part.service, part.port, report, is_native=part.form in ("process", "task"))


def volume_name(part: Part, source: str, target: str) -> str:
    return name_from(source) if source else name_from(f"{part.name}-{posixpath.basename(target)}")
