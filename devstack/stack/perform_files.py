"""What the actions on generated files and on the entries of `[files]` do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from devstack import actions
from devstack.actions import Action
from devstack.executor import Performer, Report
from devstack.stack.machinery import Tools, trash_name
from devstack.state import Written


class FilePerformers:
    """The actions on one project's files."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def table(self) -> Mapping[type[Action], Performer]:
        return {actions.WriteFiles: self.write, actions.MakePaths: self.make}

    def write(self, action: actions.WriteFiles, report: Report) -> None:
        for file in action.files:
            self._tools.system.private_folder(Path(file.path).parent)
            self._tools.system.write(Path(file.path), file.content, file.mode)

    def make(self, action: actions.MakePaths, report: Report) -> None:
        place = self._tools.files
        for name in action.folders:
            declared = self._tools.profile.files[name]
            self._tools.system.folder(place.target(name), int(declared.mode, 8) if declared.mode else 0o755)
        for file in action.files:
            path = place.target(file.path)
            self._tools.system.folder(path.parent, 0o755)
            if file.replaces and path.exists():
                old = self._trash("files") / file.path
                self._tools.system.private_folder(old.parent)
                # a copy: at no point is there no file
                self._tools.system.write(old, self._tools.system.read_bytes(path) or b"")
                report.say(f"the old {file.path} is in {old.relative_to(self._tools.project.root)}")
            self._tools.system.write(path, file.rendered.content, file.rendered.mode)
            if file.written is not None:
                self._remember(file.path, file.written)

    def _remember(self, path: str, written: Written) -> None:
        self._tools.store.update(lambda record: record.with_entry("files", path, str(written)))

    def _trash(self, what: str) -> Path:
        """A folder for what is replaced."""
        return self._tools.system.private_folder(trash_name(self._tools, what))
