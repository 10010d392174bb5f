"""A health check as a profile's `ready`."""

from __future__ import annotations

import re
import shlex
from typing import Any

from devstack.detect.compose import commands
from devstack.detect.compose.report import Report
from devstack.detect.compose.shapes import Composed

_HTTP = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d+))?(/[^\s'\"|;&>)]*)?")
_TCP = re.compile(r"\bnc\s+(?:-\S+\s+)*(?:localhost|127\.0\.0\.1)\s+(\d+)|/dev/tcp/(?:localhost|127\.0\.0\.1)/(\d+)")
_ENDINGS = re.compile(r"\s*(\|\|\s*(exit\s+1|false)|>\s*/dev/null(\s+2>&1)?|2>\s*/dev/null|&>\s*/dev/null)\s*;?\s*$")
#: `curl -f` is content with what isn't an error
_FINE = [200, 201, 204, 301, 302, 303, 307, 308]


def port_of(service: Composed) -> int:
    """The port that the check asks, 0 for none."""
    if service.health is None:
        return 0
    text = " ".join(service.health.words)
    found = _HTTP.search(text)
    if found and found[1]:
        return int(found[1])
    other = _TCP.search(text)
    return int(other[1] or other[2]) if other else 0


def is_page(service: Composed) -> bool:
    """Does the check ask a page?"""
    return service.health is not None and _HTTP.search(" ".join(service.health.words)) is not None


def ready(service: Composed, port: int, report: Report, *, is_native: bool) -> dict[str, Any] | None:
    """port: that it listens on inside, 0 for none; what is asked there is asked from outside. None: nothing to ask."""
    health = service.health
    if health is None or not health.words:
        return None
    text = " ".join(health.words) if health.is_shell else shlex.join(health.words)
    while found := _ENDINGS.search(text):
        text = text[: found.start()]
    page, connection = _HTTP.search(text), _TCP.search(text)
    if port and page and int(page[1] or 80) == port:
        return {"http": page[2] or "/", "status": _FINE, "grace": health.grace}
    if port and connection and int(connection[1] or connection[2]) == port:
        return {"tcp": True, "grace": health.grace}
    if is_native:
        # its own name is a container's there
        text = re.sub(r"\s+(-d|--destination)[= ]\S+", "", text) if "celery" in text else text
        if not commands.is_python(text) or "$" in text:
            report.drop((service.name, "healthcheck"), f"`{text}` is nothing of this environment",
                        "`ready` with http, tcp, log or a command")  # fmt: skip
            return None
    command = text if _splits(text) else shlex.join(["sh", "-c", text])
    return {"command": command.replace("${", "$${"), "grace": health.grace}


def _splits(text: str) -> bool:
    """Is it the same without a shell?"""
    try:
        shlex.split(text)
    except ValueError:
        return False
    return not re.search(r"[|;&<>$`*\n]|^\[", text)
