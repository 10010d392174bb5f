"""How much data each service holds, for a person who is about to let go of it."""

from __future__ import annotations

from devstack.errors import DevstackError
from devstack.stack.containers import look
from devstack.stack.machinery import Tools


def sizes(tools: Tools, *, here: bool = False) -> dict[str, int]:
    """Bytes by service, whether it runs or not; one whose size nobody can tell isn't there. here: of this machine's own
    folders alone, since an engine may count for long."""
    record, folder = tools.store.load(), tools.project.folder / "data"
    found: dict[str, int] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found[path.name] = tools.system.tree_size(path)
        except OSError:
            # a server at work has removed a file meanwhile
            continue
    if "docker" in record.runtimes.values() and not here:
        seen, _ = look(tools.containers, record.stack)
        owners = {one.name: one.service for one in seen.volumes if record.volumes.get(one.service) == one.token}
        try:
            survey = tools.containers.engine.survey(tools.system.user_id(), sizes=True)
        except DevstackError:
            return found
        for thing in survey:
            if thing.kind == "volume" and thing.size and (service := owners.get(thing.name)):
                found[service] = found.get(service, 0) + thing.size
    return found
