"""What a stack is made of, for other tools: the Procfile and supervisord.conf that it runs by, a compose file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devstack import composing
from devstack.contained import containers
from devstack.programs import all_programs, layout
from devstack.render import render
from devstack.resources import shared
from devstack.stack.containers import Containers, look
from devstack.stack.paths import places
from devstack.stack.store import make_private

if TYPE_CHECKING:
    from devstack.stack import Stack

NEVER_UP = "this stack has never been up: its ports and secrets are decided by `devstack up`"
_ALONE = "both use the same ports and data: `devstack down` before `{0} compose up`, and the other way round"


@dataclass(frozen=True)
class Exported:
    """A compose file. head: of its text, a comment. notes: for the person."""

    document: Mapping[str, Any]
    head: tuple[str, ...]
    notes: tuple[str, ...]


def programs(stack: Stack, *, is_procfile: bool) -> tuple[str, tuple[str, ...]]:
    """The Procfile, or supervisord.conf, that `up` would render now, and what to know of it."""
    state = stack.observe().state
    place = layout(state)
    made = all_programs(stack.profile, state)
    template = stack.system.read(shared("Procfile.template")) or ""
    path = place.procfile if is_procfile else place.config
    (file,) = [one for one in render(made, place, template) if one.path == path]
    # wherever the file lies, what it names is here
    text = file.text.replace("%(here)s", place.folder.replace("%", "%%"))
    notes = [] if is_procfile else ["nothing starts by itself: supervisorctl start all"]
    if any(stack.system.read(Path(place.script(one.name))) is None for one in made):
        notes.append(f"`devstack up` makes the scripts that it names: {place.folder}/env")
    if names := [one.name for one in containers(stack.profile, state)]:
        notes.append(f"left out, since they run in containers: {', '.join(names)} (devstack export compose)")
    return text, tuple(notes)


def compose(stack: Stack) -> Exported:
    """The compose file; the private files that it names are written."""
    is_new = stack.system.read(stack.project.record) is None
    state = stack.observe().state
    here = Containers(stack.system)
    seen, _ = look(here, state.stack)
    made = composing.compose(stack.profile, state, frozenset(volume.name for volume in seen.volumes))
    make_private(stack.system, stack.project, places(stack.system))
    for file in made.files:
        path = Path(file.path)
        for folder in reversed(path.relative_to(stack.project.folder).parents[:-1]):
            stack.system.private_folder(stack.project.folder / folder)
        stack.system.write(path, file.content, file.mode)
    alone = _ALONE.format(here.program)
    head = (f"Of {stack.profile.name}, by `devstack export compose`; for this machine, whose volumes it names.", alone)
    return Exported(made.document, head, (*made.notes, *([NEVER_UP] if is_new else ()), alone))
