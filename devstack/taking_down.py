"""`down(state, goal)`: the plan that takes a stack down, from what runs and not from a profile. Pure."""

from __future__ import annotations

from devstack.actions import (
    DiscardData,
    ReapOrphans,
    RemoveNetwork,
    StopContainer,
    StopForeground,
    StopProgram,
    StopSupervisor,
)
from devstack.plan import Down, Draft, Plan, few
from devstack.state import State

SUPERVISOR = "supervisor"
NETWORK = "network"
_ALIVE = ("running", "starting", "backoff", "stopping")


def down(state: State, goal: Down) -> Plan:
    """Processes first, then services, then supervisord; then whatever outlived them."""
    draft = Draft(goal.name)
    supervisor = state.supervisor
    running = [name for name, program in supervisor.programs.items() if program.phase in _ALIVE]
    cause = "the stack goes down"
    # whoever has data is a service: known even where the profile can't be read any more
    processes = [draft.add(n, StopProgram(n), cause) for n in running if n not in state.data]
    for name, foreground in state.foreground.items():
        processes.append(draft.add(name, StopForeground(name, foreground), f"{cause}; it runs on a terminal"))
    own = {name: StopContainer(name, now.container) for name, now in state.containers.items()}
    processes += [draft.add(n, stop, cause) for n, stop in own.items() if n not in state.data]
    services = [draft.add(n, StopProgram(n), cause, needs=processes) for n in running if n in state.data]
    contained = [draft.add(n, stop, cause, needs=processes) for n, stop in own.items() if n in state.data]
    if state.has_network:
        needs = [*processes, *contained]
        contained.append(draft.add(NETWORK, RemoveNetwork(), cause, needs=needs))
    stopped = [*processes, *services]
    if supervisor.is_running:
        stopped = [draft.add(SUPERVISOR, StopSupervisor(), cause, needs=stopped)]
    stopped += contained
    if supervisor.orphans:
        stopped.append(
            draft.add(SUPERVISOR, ReapOrphans(supervisor.orphans), "left over from a killed run", needs=stopped)
        )
    if goal.volumes and state.data:
        cause = f"--volumes: the data of {few(state.data)} goes to the trash"
        draft.add("data", DiscardData(), cause, needs=stopped, destructive=True)
    return draft.finished(())
