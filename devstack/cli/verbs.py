"""The verbs there are, apart from what runs them: `--help` loads nothing else."""

from __future__ import annotations

ABOUT = """From a git URL to a running, checked stack.

`python3 bootstrap.py GIT_URL` clones a project, builds its environment, provisions its services and launches its
processes; every verb below then works anywhere inside the project."""
#: verb → module (where they differ) and the line that `--help` shows, so that it need load none of them
VERBS = {
    "bootstrap": "Clone a project and bring its whole stack up",
    "init": "Write devstack.toml, from the repository or a compose file",
    "up": "Converge to everything running and ready",
    "down": "Stop everything, keep the data",
    "status": "What runs, where, ready or why not",
    "ps": "The same as status",
    "urls": "Where everything is",
    "logs": "What services and processes print",
    "attach": "Reach a process's output and stdin, such as a breakpoint",
    "restart": "Stop and start services or processes",
    "scale": "How many of a process run",
    "run": "Run a task of the profile",
    "exec": "Run a command in the project's environment",
    "shell": "A shell in the project's environment, or a service's client",
    "env": "The project's environment, and where each value comes from",
    "check": "Run the project's checks in its environment",
    "plan": "What `up` would do, and why; changes nothing",
    "list": "Every stack on this machine",
    "doctor": "What is wrong, why, and one command each",
    "support": "What somebody who helps needs to see, without secrets",
    "snapshot": "Named states of all data, as files too",
    "reset": "Back to seeded data, or to a new environment",
    "undo": "Bring back what the last destructive command replaced",
    "gc": "Remove what deleted projects left on this machine",
    "export": "This stack for another tool: as a Procfile, a compose file",
    "trust": "Allow this repository's commands to run",
    "config": "The resolved profile, and where each value comes from",
    "completion": "What a shell needs to complete words after devstack",
}
MODULES = {"ps": "status", "exec": "exec_", "list": "list_"}
