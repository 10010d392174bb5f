"""What runs in a container: how its image is built, what of the machine it sees."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from devstack.profile.model.values import NAME, Model, PlainEnv

#: an absolute path in a container; `:` separates the parts of a volume
InsidePath = Annotated[str, Field(pattern=r"^/[^:\x00]*[^:/\x00]$", max_length=400)]
_INSIDE = re.compile(r"/[^:\0]*[^:/\0]")


class Mount(NamedTuple):
    """One entry of a process's `volumes`. source: path in the project, or the name of a volume of the stack."""

    source: str
    target: str
    is_read_only: bool

    @property
    def is_volume(self) -> bool:
        """It is a named volume and no folder of the project."""
        return NAME.fullmatch(self.source) is not None


def mount(text: str) -> Mount:
    """The parts of `SOURCE:/INSIDE` or `SOURCE:/INSIDE:ro`. Raises ValueError."""
    source, _, rest = text.partition(":")
    target, colon, mode = rest.partition(":")
    is_known = bool(source) and _INSIDE.fullmatch(target) and (mode in ("ro", "rw") if colon else True)
    if not is_known:
        raise ValueError("wanted `SOURCE:/INSIDE` or `SOURCE:/INSIDE:ro`, SOURCE a path in the project or a name")
    return Mount(source, target, mode == "ro")


def _ensure_mount(text: str) -> str:
    mount(text)
    return text


MountText = Annotated[str, AfterValidator(_ensure_mount)]


class Build(Model):
    """`build = "."`, or a table: how a process's image is made."""

    context: str = "."
    """Folder in the project that the builder gets, less what its `.dockerignore` leaves out."""
    dockerfile: str = "Dockerfile"
    """Path in the context."""
    target: str | None = None
    """Stage of the Dockerfile to stop at."""
    args: PlainEnv = {}
    """Values of the Dockerfile's `ARG`s; they stay readable in the image, so no secrets."""


def _short_build(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


BuildText = Annotated[Build, BeforeValidator(_short_build, json_schema_input_type=str | Build)]
