"""`[project]`: where the project comes from and what belongs to a whole checkout of it."""

from __future__ import annotations

from devstack.profile.model.values import Model, Strings


class Project(Model):
    """Where the project comes from, and what of it is checked out."""

    repo: str | None = None
    """Git URL that `bootstrap` clones."""
    ref: str | None = None
    """Branch, tag or commit to check out."""
    sparse: Strings = ()
    """Folders to check out, besides the files at the root; `!path` leaves one out. Left out: everything."""
    submodules: bool = True
    """Get submodules that are missing, once the project is trusted."""
    lfs: bool = True
    """Get what Git LFS holds, once the project is trusted; false: pointer files stay as they are."""
