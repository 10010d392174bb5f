"""Everything that looks at, or acts on, one stack's part of the machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.bytecode import Bytecode
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
    bytecode: Bytecode
    files: Inputs
    containers: Containers
    #: services whose data is on its way to where they run now, with its generation
    moving: Mapping[str, str] = field(default_factory=dict)
    #: nothing may be fetched
    offline: bool = False
    #: nothing that the profile names may be executed where this is False, readiness commands neither
    is_trusted: bool = False


def trash_name(tools: Tools, what: str) -> Path:
    """A new name in the trash, for what is replaced now."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(tools.system.now()))
    return tools.project.trash / f"{stamp}-{what}"
