"""A run while it goes on, in lines without colour or movement: for files, pipes, CI and plain terminals."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from devstack.errors import InterruptedRunError
from devstack.output.text import cut, one_line

if TYPE_CHECKING:
    from devstack.executor import Event
    from devstack.plan import Plan, Step

#: steps that may take long: their beginning is worth a line
LONG = ("clone", "get", "pull", "build", "fetch", "install", "run", "prepare")
#: seconds between two lines about the same step: git counts up about once a second, and that it goes on is news
_EVERY = {"clone": 1.0, "get": 1.0, "pull": 1.0, "build": 1.0}
_SELDOM = 10.0
#: seconds without a line after which a step is said to go on: a build from source prints nothing for minutes
_SILENT = 60.0
#: columns of what a step says about itself; of a failure the whole story follows at the end
_SAID = 120
#: by weight: of what was done to a target, the last of these is told
DONE = {
    "write": "written", "link": "linked", "make": "made", "reap": "cleared", "create": "created", "start": "started",
    "reload": "reloaded", "prepare": "prepared", "provision": "provisioned", "discard": "discarded",
    "dump": "copied", "load": "moved", "save": "saved", "restore": "restored", "empty": "emptied",
    "export": "exported", "import": "imported", "remove": "removed", "seed": "filled", "keep": "kept",
    "fetch": "fetched", "stop": "stopped", "verify": "verified", "clone": "cloned", "get": "there",
    "pull": "pulled", "build": "built", "install": "installed", "release": "released", "run": "done", "await": "ready",
}  # fmt: skip


#: the same verbs while they go on
DOING = {
    "write": "writing", "link": "linking", "make": "making", "reap": "clearing", "create": "creating",
    "start": "starting", "reload": "reloading", "prepare": "preparing", "provision": "provisioning",
    "dump": "copying", "load": "moving", "save": "saving", "restore": "restoring", "empty": "emptying",
    "export": "exporting", "import": "importing", "remove": "removing", "seed": "filling", "keep": "keeping",
    "discard": "discarding", "fetch": "fetching", "stop": "stopping", "verify": "verifying", "clone": "cloning",
    "get": "getting", "pull": "pulling", "build": "building", "install": "installing", "release": "releasing",
    "run": "running", "await": "waiting",
}  # fmt: skip
_ERRNO = re.compile(r"\[Errno -?\d+\] ")


def said(text: str) -> str:
    """What a step says about itself, in one line; the number of a system's error helps nobody who watches."""
    return _ERRNO.sub("", one_line(text))


class PlainProgress:
    """A line when a long step begins and when a target is done; with `verbose`, a line per event. As a context it also
    tells what a step said last and nobody has seen, and that a silent one goes on."""

    def __init__(self, plan: Plan, write: Callable[[str], None], *, verbose: bool) -> None:
        self._write = write
        self._verbose = verbose
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        #: seconds of the clock at which the run began
        self._origin = time.monotonic()
        self._running: dict[str, Event] = {}
        self._held: set[str] = set()
        self._said: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._last = {step.target: step.id for step in plan.steps}
        self._width = max((len(step.target) for step in plan.steps), default=0)

    def __enter__(self) -> PlainProgress:
        threading.Thread(target=self._watch, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._origin = time.monotonic() - event.at
            if event.kind in ("started", "progress", "told"):
                self._running[event.step.id] = event
            else:
                self._running.pop(event.step.id, None)
                self._held.discard(event.step.id)
            self._meet(event)

    def look(self, at: float) -> None:
        """Tell what is due, `at` seconds after the run began."""
        with self._lock:
            for name, event in self._running.items():
                verb, silence = event.step.action.verb, at - self._said[name]
                if name in self._held and silence >= _EVERY.get(verb, _SELDOM):
                    self._say(replace(event, at=at), event.text)
                elif silence >= _SILENT:
                    self._say(replace(event, at=at), f"still {DOING[verb]}{f': {event.text}' if event.text else ''}")

    def _watch(self) -> None:
        while not self._is_over.wait(1.0):
            self.look(time.monotonic() - self._origin)

    def _meet(self, event: Event) -> None:
        step = event.step
        match event.kind:
            case "started":
                self._said[step.id] = event.at
                self._began.setdefault(step.target, event.at)
                if self._verbose:
                    self._tell(event, f"{step.action.verb}: {one_line(step.cause)}")
                elif step.action.verb in LONG:
                    self._tell(event, f"{step.action.verb} …")
            case "progress":
                pause = _EVERY.get(step.action.verb, _SELDOM)
                if self._verbose or event.at - self._said.setdefault(step.id, 0) >= pause:
                    self._say(event, event.text)
                else:
                    self._held.add(step.id)
            case "told":
                self._say(event, event.text)
            case "finished":
                self._finished(event)
            case "failed":
                self._tell(event, f"{step.action.verb} {_failure(step, event)}")
            case "unneeded":
                self._tell(event, f"skipped: {cut(one_line(event.text), _SAID)}")
            case "skipped":
                if self._verbose:
                    self._tell(event, f"{step.action.verb}: {one_line(event.text) or 'not begun'}")

    def _finished(self, event: Event) -> None:
        verb, target = event.step.action.verb, event.step.target
        if self._verbose or verb in LONG:
            self._tell(event, f"{DONE[verb]} ({event.took:.1f} s)")
        elif self._last[target] == event.step.id:
            self._tell(event, f"{DONE[verb]} ({event.at - self._began[target]:.1f} s)")

    def _say(self, event: Event, text: str) -> None:
        """What a step says about itself."""
        self._said[event.step.id] = event.at
        self._held.discard(event.step.id)
        self._tell(event, f"  {cut(said(text), _SAID)}")

    def _tell(self, event: Event, text: str) -> None:
        self._write(f"[{event.at:5.1f} s] {one_line(event.step.target).ljust(self._width)}  {text}")


def _failure(step: Step, event: Event) -> str:
    if isinstance(event.error, InterruptedRunError):
        return "stopped"
    optional = " (optional)" if step.optional else ""
    return f"FAILED{optional}: {cut(one_line(event.text), _SAID)}"
