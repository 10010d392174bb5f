"""The gate between a cloned repository and this machine: nothing of it runs before a person has said that it may."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from devstack.stack.inputs import Inputs
from devstack.stack.options import Options
from devstack.stack.sources import Found
from devstack.stack.trusting import Request, is_persons_own, material
from devstack.state import Record
from devstack.system import System
from devstack.trust import TrustStore, changes

#: the profile and where it came from, the project's files that it names, and what earlier runs have left
Read = tuple[Found, Inputs, Record]


class Gate:
    """Trust in one project: bound to the content of all that says what runs, to its place and its owner. read: what
    trust is asked for."""

    def __init__(self, system: System, trusted: TrustStore, options: Options, read: Callable[[], Read]) -> None:
        self._system = system
        self._trusted = trusted
        self._options = options
        self._read = read

    def request(self) -> Request:
        """What trusting this project means, and what has changed since it was trusted."""
        found, inputs, record = self._read()
        now = material(found, inputs, record)
        known = self._trusted.known(now.root)
        return Request(
            profile=found.loaded.profile, source=found.path, material=now, is_known=known is not None,
            changes=changes(known, now) if known else (), stranger=now.owner not in (self._system.user_id(), 0),
        )

    def trust(self, request: Request) -> None:
        """Trust the project as it was read for this request."""
        self._trusted.trust(request.material)

    @property
    def is_open(self) -> bool:
        request = self.request()
        return request.is_known and not request.changes

    def ensure(self, request: Request) -> None:
        """Raises NotTrustedError where nobody says yes."""
        if request.is_known and not request.changes:
            return
        found, inputs, _ = self._read()
        is_own = is_persons_own(found, inputs.root) and not request.stranger
        asked = self._options.ask_trust
        if not (self._options.trust or is_own or (asked and asked(request))):
            given = f" --profile {shlex.quote(self._options.profile)}" if self._options.profile else ""
            raise request.refusal(f"devstack trust{given}", is_shown=asked is not None)
        self.trust(request)
