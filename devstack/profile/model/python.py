"""`[python]`: the virtual environment."""

from __future__ import annotations

from devstack.profile.model.values import Model, Seconds, Strings


class SystemNeeds(Model):
    """Packages of the operating system that the project needs, by family; checked, never installed silently."""

    debian: Strings = ()
    """Debian, Ubuntu and what derives from them: names for `apt-get install`."""
    fedora: Strings = ()
    """Fedora, RHEL and what derives from them: names for `dnf install`."""
    macos: Strings = ()
    """Homebrew formulas."""


class Python(Model):
    """The virtual environment."""

    version: str | None = None
    """Version or PEP 440 specifier (`3.11`, `>=3.12,<3.14`); left out: `.python-version`, `requires-python`, any."""
    install: Strings | None = None
    """Requirements files, in order, or `.` / `.[extra]` for the project itself; left out: detected."""
    extras: Strings = ()
    """Extras of the project to install, where it is installed from pyproject.toml or uv.lock."""
    groups: Strings = ()
    """Dependency groups (PEP 735) to install with uv.lock; uv's default groups come without asking."""
    packages: Strings = ()
    """Requirements to install besides, such as a server that the project's own files leave out."""
    constraints: Strings = ()
    """Constraints files."""
    timeout: Seconds = 1800
    """Seconds that the installation may take."""
    system: SystemNeeds = SystemNeeds()
    """Packages of the operating system."""
