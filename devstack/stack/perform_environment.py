"""What the actions on the virtual environment do."""

from __future__ import annotations

from collections.abc import Mapping

from devstack import actions
from devstack.actions import Action
from devstack.executor import Performer, Report
from devstack.python_env import Observed
from devstack.stack.machinery import Tools
from devstack.stack.observe import Seen


class EnvironmentPerformers:
    """The actions on one stack's environment."""

    def __init__(self, tools: Tools, seen: Seen) -> None:
        self._tools = tools
        self._seen = seen

    def table(self) -> Mapping[type[Action], Performer]:
        return {
            actions.CreateEnvironment: self.create,
            actions.InstallPackages: self.install,
            actions.LinkEnvironment: self.link,
        }

    def create(self, action: actions.CreateEnvironment, report: Report) -> None:
        self._tools.python.create(self._environment())

    def install(self, action: actions.InstallPackages, report: Report) -> None:
        for warning in self._tools.python.install(self._environment(), report.say):
            report.tell(warning)
        self._tools.python.verify(self._environment())
        self._tools.bytecode.give(self._environment().folder)
        if gone := self._tools.python.prune(self._environment()):
            report.say(f"removed {gone} environment{'s' if gone > 1 else ''} used long ago")

    def link(self, action: actions.LinkEnvironment, report: Report) -> None:
        self._tools.python.link(self._environment())

    def _environment(self) -> Observed:
        if self._seen.python is None:
            raise LookupError("a plan with steps for the environment comes from a full observation")
        return self._seen.python
