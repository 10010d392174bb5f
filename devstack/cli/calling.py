"""How the person calls devstack, for the commands that are printed."""

from __future__ import annotations

import os


def prefix(folder: str) -> str:
    """The words before a verb in this folder."""
    bootstrap = os.environ.get("DEVSTACK_BOOTSTRAP")
    if bootstrap is None:
        return "devstack"
    import shutil

    if shutil.which("devstack"):
        return "devstack"
    import shlex

    return f"python3 {shlex.quote(min(bootstrap, os.path.relpath(bootstrap, folder), key=len))}"
