"""How the person calls devstack, for the commands that are printed."""

from __future__ import annotations

import os


def unseen() -> str:
    """The folder in which bootstrap.py has put `devstack`, where that isn't on PATH; "" else. As a shell reads it."""
    if os.environ.get("DEVSTACK_BOOTSTRAP") is None:
        return ""
    import shutil

    folder, home = os.environ.get("XDG_BIN_HOME", ""), os.environ.get("HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.join(home, ".local", "bin")
    if shutil.which("devstack") or not os.access(os.path.join(folder, "devstack"), os.X_OK):
        return ""
    return f"$HOME{folder.removeprefix(home)}" if home and folder.startswith(f"{home}/") else folder


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
