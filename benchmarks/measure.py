"""Wall-clock measurements: commands timed in turn, medians, ratios of pairs."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = 300.0
#: as the launcher calls it
DEVSTACK = (sys.executable, "-P", "-m", "devstack")


@dataclass(frozen=True)
class Timed:
    """A command that has ended. took: seconds."""

    took: float
    out: str


@dataclass
class Bench:
    """Where measurements happen. folder: everything they make. environ: what a person's shell exports; caches are this
    user's own, and warm."""

    folder: Path
    environ: dict[str, str]
    rounds: int
    say: Callable[[str], None] = lambda text: None

    def run(self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Timed:
        """Time a command that must succeed; its output goes to a file, since a daemon may keep a pipe open."""
        output = self.folder / "output.txt"
        began = time.monotonic()
        with output.open("wb") as file:
            child = subprocess.Popen(
                words, cwd=cwd or self.folder, env={**self.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )
            try:
                code = child.wait(TIMEOUT)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise
        took = time.monotonic() - began
        text = output.read_text(errors="replace")
        if code != 0:
            raise SystemExit(f"{' '.join(words)} ended with {code}:\n{text[-3000:]}")
        return Timed(took, text)

    def new_folder(self, name: str) -> Path:
        """An empty folder with a short path: sockets go there."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


@contextmanager
def bench(folder: Path, rounds: int, say: Callable[[str], None]) -> Iterator[Bench]:
    """State, sockets and the launcher are the bench's own, so that a person's stacks aren't seen or touched."""
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("DEVSTACK_", "VIRTUAL_ENV", "PYTHON")) and name != "XDG_RUNTIME_DIR"
    }
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    own = {"XDG_STATE_HOME": f"{folder}/state", "XDG_RUNTIME_DIR": str(runtime), "XDG_BIN_HOME": f"{folder}/bin"}
    # the hand recipe has the machine's servers; containers are a part of their own
    own["DEVSTACK_RUNTIME"] = "native"
    # a first time is meant, and nothing is left for a person's stacks
    own["DEVSTACK_NO_SEED"] = "1"
    before = dict(os.environ)
    # what is looked up in this very process must be of the same places
    os.environ |= own
    made = Bench(folder, {**kept, **own}, rounds, say)
    try:
        yield made
    finally:
        for project in folder.glob("*/**/devstack.toml"):
            if (project.parent / ".devstack").is_dir():
                made.run(*DEVSTACK, "down", cwd=project.parent)
        os.environ.clear()
        os.environ.update(before)


def until(check: Callable[[], bool], every: float = 0.02) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(every)


@dataclass
class Samples:
    """Seconds, by what was measured, in rounds."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        self.taken.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        return statistics.median(self.taken[name])

    def ratio(self, name: str, other: str) -> float:
        """Median of the rounds' own ratios: what a busy minute does to both sides cancels out."""
        pairs = zip(self.taken[name], self.taken[other], strict=True)
        return statistics.median(one / two for one, two in pairs)


@dataclass(frozen=True)
class Row:
    """A line of the result. of: what it is compared with. limit: the most that the ratio, or the seconds, may be."""

    part: str
    what: str
    seconds: float
    of: str = ""
    other: float | None = None
    ratio: float | None = None
    limit: float | None = None

    @property
    def is_met(self) -> bool | None:
        """None where nothing was promised."""
        if self.limit is None:
            return None
        return (self.seconds if self.ratio is None else self.ratio) <= self.limit


def compared(part: str, what: str, samples: Samples, names: Sequence[str], limit: float | None = None) -> Row:
    """A row from two series of samples: names of ours and of the other."""
    ours, other = names
    return Row(part, what, samples.median(ours), other, samples.median(other), samples.ratio(ours, other), limit)
