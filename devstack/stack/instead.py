"""What helps where a container can't be had: the other runtime where the whole stack could run so, else what brings the
engine, or the image."""

from __future__ import annotations

from devstack import system_packages
from devstack.errors import DevstackError, PrerequisiteError
from devstack.services import kind_of
from devstack.stack.containers import UNUSED
from devstack.stack.machinery import Tools
from devstack.state import Record

_NATIVELY = "devstack up --runtime native"


def corrected(error: DevstackError, tools: Tools, image: str = "") -> DevstackError:
    """The error with a command that helps this stack. image: that can't be had."""
    if error.fix == _NATIVELY and (why := hindrance(tools)):
        error.evidence = (*error.evidence, f"it can't run natively: {why}")
        error.fix = f"{tools.containers.program} pull {image}" if image else _engine(error, tools)
        if image:
            error.evidence = (*error.evidence, "what has come is kept: another `devstack up` goes on from there")
    return error


def hindrance(tools: Tools) -> str:
    """Why the stack as it is declared, and with the data that it has, can't run natively; "" where it can."""
    record = tools.store.load()
    for name, process in tools.profile.processes.items():
        if process.is_contained:
            return f"{name} is a process in a container"
    return next(filter(None, (_of_service(tools, record, name) for name in tools.profile.services)), "")


def _of_service(tools: Tools, record: Record, name: str) -> str:
    service = tools.profile.services[name]
    kind, why = kind_of(name, service), ""
    if not kind.sources:
        why = f"{name} is a service of the kind `{service.kind or name}`"
    elif service.image is not None:
        why = f"{name} has an image of its own"
    elif service.runtime == "docker":
        why = f'{name} has runtime = "docker"'
    elif record.runtimes.get(name) == "docker" and not record.volumes.get(name, UNUSED).endswith(UNUSED):
        why = f"the data of {name} is in a volume"
    else:
        try:
            version = service.version or kind.default_version
            tools.servers.choose(service.kind or name, kind, version, kind.needs(service))
        except PrerequisiteError as error:
            why = error.what
    return why


def _engine(error: DevstackError, tools: Tools) -> str:
    """What brings an engine that can be used."""
    match error.id:
        case "engine-remote":
            return "unset DOCKER_HOST" if "DOCKER_HOST" in error.why else "docker context use default"
        case "engine-old":
            return "docker version"
    here = system_packages.machine(tools.system)
    return here.command(("docker.io",)) if here.family == "debian" else "docker info"
