"""Profiles: the model, loading, needs and interpolation. Pure; the lowest layer above the errors."""

from devstack.profile.extends import ensure_no_cycle, extends_of, is_shipped
from devstack.profile.interpolation import escape, resolve
from devstack.profile.load import Loaded, load
from devstack.profile.model import Ask, Check, File, Generate, Process, Profile, Service, Stop, Task, name_from
from devstack.profile.needs import check_needs, has_port, process_needs, programs_of, task_needs
from devstack.profile.references import Fields, secret_env
from devstack.profile.secret import Secret
from devstack.profile.source import SourceFile, from_pyproject

__all__ = [
    "Ask",
    "Check",
    "Fields",
    "File",
    "Generate",
    "Loaded",
    "Process",
    "Profile",
    "Secret",
    "Service",
    "SourceFile",
    "Stop",
    "Task",
    "check_needs",
    "ensure_no_cycle",
    "escape",
    "extends_of",
    "from_pyproject",
    "has_port",
    "is_shipped",
    "load",
    "name_from",
    "process_needs",
    "programs_of",
    "resolve",
    "secret_env",
    "task_needs",
]
