"""Everything that looks at, or acts on, one stack's part of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from devstack.profile.model import Profile
from devstack.python_env import PythonEnvironments
from devstack.registry import Registry
from devstack.runtimes.native import Native
from devstack.runtimes.servers import Servers
from devstack.stack.containers import Containers
from devstack.stack.inputs import Inputs
from devstack.stack.paths import Places, Project
from devstack.stack.store import RecordStore
from devstack.system import System


@dataclass(frozen=True)
class Tools:
    """Everything that looks at, or acts on, one stack's part of the machine."""

    system: System
    project: Project
    places: Places
    profile: Profile
    store: RecordStore
    registry: Registry
    servers: Servers
    native: Native
    python: PythonEnvironments
    files: Inputs
    containers: Containers
    #: nothing may be fetched
    offline: bool = False
    #: nothing that the profile names may be executed where this is False, readiness commands neither
    is_trusted: bool = False
