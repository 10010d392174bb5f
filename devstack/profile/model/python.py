"""`[python]`: the virtual environment."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from devstack.profile.model.values import Model, Seconds, Strings, one_or_many


class SystemNeeds(Model):
    """What of the operating system the project needs: packages by family, and commands; checked before an environment
    is made, never installed silently."""

    debian: Strings = ()
    """Debian, Ubuntu and what derives from them: names for `apt-get install`."""
    fedora: Strings = ()
    """Fedora, RHEL and what derives from them: names for `dnf install`."""
    macos: Strings = ()
    """Homebrew formulas."""
    binaries: Strings = ()
    """Commands that must be on PATH, such as `msgfmt`."""


def _moment(value: Any) -> Any:
    """A date or a moment of TOML's own, or a text of either, as text."""
    text = value.isoformat() if isinstance(value, date | datetime) else value
    if isinstance(text, str):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        # uv wants to know whose clock a time of day is of
        if moment is None or (len(text) > len("2019-06-01") and moment.tzinfo is None):
            raise PydanticCustomError("shape", "wanted a date or an RFC 3339 time: 2019-06-01, 2019-06-01T12:00:00Z")
    return text


Moment = Annotated[str, BeforeValidator(_moment, json_schema_input_type=str)]


class Python(Model):
    """The virtual environment."""

    version: str | None = None
    """Version or PEP 440 specifier (`3.11`, `>=3.12,<3.14`); left out: `.python-version`, `requires-python`, any."""
    installer: Literal["uv", "pip"] = "uv"
    """What installs; `pip` for a project that insists on it, without lock files of other tools."""
    install: Strings | None = None
    """Requirements or lock files, in order, or `.` / `.[extra]` for the project itself; left out: detected."""
    extras: Strings = ()
    """Extras of the project to install, where it is installed from pyproject.toml or a lock file."""
    groups: Strings = ()
    """Dependency groups to install besides a lock's default ones: PEP 735's, Poetry's, PDM's, Pipenv's `develop`."""
    packages: Strings = ()
    """Requirements to install besides, such as a server that the project's own files leave out."""
    constraints: Strings = ()
    """Constraints files."""
    editable: bool = True
    """Install the project itself so that changes of its code are seen at once."""
    prerelease: Literal["allow", "disallow", "if-necessary", "explicit", "if-necessary-or-explicit"] | None = None
    """Whether versions before a release are taken; left out: only where a requirement names one."""
    exclude_newer: Moment | None = None
    """Take no version uploaded later: a date or an RFC 3339 time, for a project whose requirements aren't pinned."""
    indexes: Strings = ()
    """URLs of package indexes to ask besides the machine's own, before it."""
    only_binary: Annotated[bool | tuple[str, ...], BeforeValidator(
        one_or_many, json_schema_input_type=bool | str | tuple[str, ...]
    )] = False
    """Build nothing from source: `true`, or the names of packages; the project's own code excepted."""
    timeout: Seconds = 1800
    """Seconds that the installation may take."""
    system: SystemNeeds = SystemNeeds()
    """Packages and commands of the operating system."""
