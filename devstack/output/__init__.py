"""All printing: `Output` renders every result, for people and for programs; nothing else writes to a stream."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from devstack.errors import DevstackError
from devstack.output import bars, documents, results
from devstack.output.results import DEVSTACK, Call
from devstack.output.stream import Cleaned, Lines
from devstack.output.terminal import Terminal, is_interactive, is_terminal
from devstack.output.text import clean, one_line

if TYPE_CHECKING:
    from devstack.doctor import Finding
    from devstack.environment import Variable
    from devstack.executor import Progress
    from devstack.output.explanations import Origins
    from devstack.output.live import LiveProgress
    from devstack.plan import Plan
    from devstack.profile.explain import Explanation
    from devstack.profile.source import SourceFile
    from devstack.registry import Entry
    from devstack.snapshots import Manifest
    from devstack.stack.initial import Draft
    from devstack.stack.leftovers import Leftover
    from devstack.stack.snapshotting import Listed
    from devstack.stack.trusting import Request
    from devstack.status import ScaleRow, Status
    from devstack.timings import Timings

__all__ = ["Call", "Output", "clean", "one_line"]


class Output:
    """One command's way to speak. With `json`, one document goes to stdout and words for people to stderr."""

    def __init__(self, *, json: bool = False, verbose: bool = False) -> None:
        self.is_json = json
        self.verbose = verbose
        self._result = Terminal(sys.stdout, is_result=True)
        self._aside = Terminal(sys.stderr, is_result=False)
        self._human = self._aside if json else self._result
        self._live: LiveProgress | None = None
        #: keys that a flag adds to this command's document
        self._extra: dict[str, Any] = {}

    @property
    def is_interactive(self) -> bool:
        """Somebody is there to look at a moving picture and to answer."""
        return is_interactive() and not self.is_json

    @property
    def is_typed(self) -> bool:
        """Does a person type what comes on stdin, line by line?"""
        return is_terminal(sys.stdin)

    def typed(self, prompt: str) -> Iterator[str]:
        """What is typed, or comes through a pipe, line by line."""
        if self.is_typed:
            with contextlib.suppress(ImportError):
                # makes the terminal's lines editable
                import readline  # noqa: F401
        while True:
            try:
                line = input(prompt) if self.is_typed else sys.stdin.readline()
            except EOFError:
                self.say()
                return
            if not line and not self.is_typed:
                return
            yield line

    def say(self, text: str = "") -> None:
        """A line for people."""
        self._lines([clean(text)])

    def aside(self, text: str) -> None:
        """A line for people that is no part of what was asked for."""
        self._aside.write(f"{self._aside.look.paint(clean(text), 'dim')}\n")

    def done(self, text: str) -> None:
        """What was asked for is done."""
        self._lines([f"{self._human.look.paint('✓', 'green')} {clean(text)}"])

    def failed(self, text: str) -> None:
        """What was asked for was done, and its answer is no: nothing to explain that wasn't said."""
        self._aside.write(f"{self._aside.look.paint('✗', 'red')} {clean(text)}\n")

    def note(self, *texts: str) -> None:
        """Worth knowing, nothing to do about."""
        self._lines(results.notes(self._human.look, texts))

    def warn(self, text: str) -> None:
        """Worth knowing, beside a result that another program may read."""
        self._aside.write("".join(f"{line}\n" for line in results.notes(self._aside.look, (text,))))

    def line(self, text: str) -> None:
        """A line of the result itself (a log, a child's output)."""
        self._result.write(f"{text}\n")

    def document(self, value: Any) -> None:
        """The one JSON document of this command."""
        self._result.write(json.dumps(value, indent=None if self._result.look.width is None else 2) + "\n")

    def progress(self, plan: Plan, title: str) -> Progress:
        """What shows a run while it goes on."""
        if self.is_interactive and plan.steps:
            from devstack.output.live import LiveProgress

            self._live = LiveProgress(plan, title, has_unicode=self._aside.has_unicode)
            return self._live
        from devstack.output.progress import PlainProgress

        return PlainProgress(plan, lambda text: self._aside.write(f"{text}\n"), verbose=self.verbose)

    def stopping(self, *, at_once: bool = False) -> None:
        """Somebody asked to stop. Called by a signal handler: it may only note that, or give the terminal back."""
        if self._live is not None:
            self._live.stopping(at_once=at_once)

    def log(self, name: str, text: str, width: int) -> None:
        """A log line with its source; NDJSON under --json."""
        shown = clean(text).replace("\n", " ")
        if self.is_json:
            self._result.write(json.dumps({"name": name, "line": shown}) + "\n")
        else:
            self.line(f"{self._result.look.paint(f'{name:<{width}} |', 'magenta')} {shown}")

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[Callable[[str], None]]:
        """Shows what a process prints as it comes; NDJSON of whole lines under --json."""
        shown = Lines(lambda line: self.log(name, line, 0)) if self.is_json else Cleaned(self._result.write)
        try:
            yield shown
        finally:
            shown.end()

    # --- results -----------------------------------------------------------------------------------------------------

    def error(self, error: DevstackError) -> None:
        """What happened, why, the lines that prove it, and one command."""
        if self.is_json:
            self.document(documents.error(error) | self._extra)
        self._aside.write("".join(f"{line}\n" for line in results.error(self._aside.look, error)))

    def plan(self, plan: Plan) -> None:
        if self.is_json:
            self.document(documents.plan(plan))
        else:
            self._lines(results.plan(self._human.look, plan, verbose=self.verbose))

    def status(self, status: Status, now: float = 0.0, call: Call = DEVSTACK) -> None:
        """now: seconds since the epoch."""
        if self.is_json:
            self.document(documents.status(status))
        else:
            self._lines(results.status(self._human.look, status, now, call))

    def scale(self, rows: Sequence[ScaleRow]) -> None:
        if self.is_json:
            self.document({"processes": [asdict(row) for row in rows]})
        else:
            self._lines(results.scale(self._human.look, rows))

    def urls(self, status: Status) -> None:
        if self.is_json:
            self.document({"urls": results.url_pairs(status), "notes": list(status.notes)})
        else:
            self._lines(results.urls(self._human.look, status))

    def ready(self, status: Status, took: float, call: Call, notes: Iterable[str]) -> None:
        """The end of a successful `up`: where everything is and what to do next. took: seconds, 0: nothing to do."""
        if self.is_json:
            self.document(documents.status(status) | self._extra)
        self.note(*notes)
        self._lines(results.ready(self._human.look, status, took, call))

    def after_foreground(self, name: str, code: int, command: str) -> None:
        """The end of a program that ran on this terminal. command: how the person calls devstack."""
        words = results.after_foreground(self._aside.look, name, code, Call(command))
        self._aside.write("".join(f"{line}\n" for line in words))

    def timings(self, timings: Timings) -> None:
        """Where the time went; under --json also in the document that ends this command."""
        self._extra["timings"] = bars.document(timings)
        self._lines([*bars.lines(self._human.look, timings), ""])

    def prepared(self, name: str, took: float, call: Call) -> None:
        """The end of a run that was told to start nothing."""
        self.done(f"{name} is prepared ({took:.1f} s), nothing was started")
        self._lines(["", *results.next_steps(self._human.look, call, ("up",))])

    def stacks(self, entries: Sequence[Entry], states: Sequence[str], now: float) -> None:
        """now: seconds since the epoch."""
        if self.is_json:
            self.document(documents.stacks(entries, states))
        else:
            self._lines(results.stacks(self._human.look, entries, states, now))

    def snapshots(self, found: Sequence[Listed], now: float) -> None:
        """now: seconds since the epoch."""
        from devstack.output import snapshots as rendered

        if self.is_json:
            self.document(rendered.documents(found))
        else:
            self._lines(rendered.lines(self._human.look, found, now))

    def snapshot(self, manifest: Manifest, how: str) -> None:
        """What was done to one. how: saved, restored, removed."""
        from devstack.output import snapshots as rendered

        if self.is_json:
            self.document({how: rendered.document(manifest)})
        else:
            self.done(f"{how} {one_line(manifest.name)}")

    def findings(self, found: Sequence[Finding]) -> None:
        """What `doctor` has found."""
        from devstack.output import findings as rendered

        if self.is_json:
            self.document(rendered.document(found))
        else:
            self._lines(rendered.lines(self._human.look, found))

    def leftovers(self, found: Sequence[Leftover]) -> tuple[str, ...]:
        """What `gc` would remove, shown to a person; returned as lines too."""
        from devstack.output import leftovers as rendered

        lines = rendered.lines(self._human.look, found)
        if self.is_interactive:
            self._lines(lines)
        return tuple(lines)

    def removed(self, found: Sequence[Leftover]) -> None:
        """What `gc` has removed."""
        from devstack.output import leftovers as rendered

        if self.is_json:
            self.document(rendered.document(found))
        elif not found:
            self.done("nothing is left over")
        else:
            self._lines(rendered.lines(self._human.look, found))
            self.done(f"removed {len(found)}, {rendered.size(rendered.total(found))} in all")

    def initialised(self, draft: Draft, trashed: str, compose_file: str, call: Call) -> None:
        """A profile was written. trashed: where the one before is, "" for none. compose_file: that could be taken over
        instead, "" for none."""
        from devstack.output import drafts

        if self.is_json:
            self.document(drafts.document(draft, trashed))
        self._lines(drafts.lines(self._human.look, draft, trashed, compose_file, call))

    def exported(self, form: str, text: str, path: str, notes: Iterable[str]) -> None:
        """A file for another tool. path: where it was written, "" for stdout."""
        from devstack.output import exports

        told = tuple(notes)
        if self.is_json:
            self.document(exports.document(form, text, path, told))
        elif path:
            self.done(f"{path} is written")
        else:
            self._result.write_exactly(text)
        for note in told:
            self.warn(note)

    def supported(self, titles: Sequence[str], path: str, size: int) -> None:
        """A report for who helps was written. titles: of its parts. size: bytes."""
        if self.is_json:
            self.document({"file": path, "bytes": size, "parts": list(titles)})
        self.done(f"{path} is written ({size / 1000:.0f} kB)")
        self.say(f"In it: {', '.join(titles)}.")
        self.say("Secrets are ***. It was sent to nobody: read it before you pass it on.")

    def environment(self, variables: Sequence[Variable], shown: Mapping[str, str], *, is_explained: bool) -> None:
        """shown: what may be shown of each value. is_explained: it is one, and what it wins over is told too."""
        from devstack.output import variables as rendered

        if self.is_json:
            self.document(rendered.document(variables, shown))
        elif is_explained:
            self._lines(rendered.explanation(self._human.look, variables[0], shown[variables[0].name]))
        else:
            self._lines(rendered.table_of(self._human.look, variables, shown))

    def environment_text(self, form: str, values: Mapping[str, str]) -> None:
        """For another program to read: `dotenv`, `shell`, `json`."""
        from devstack.output import variables as rendered

        self._result.write_exactly(rendered.formatted(form, values))

    def profile(self, values: Mapping[str, Any], origins: Origins) -> None:
        from devstack.output import explanations

        if self.is_json:
            self.document(explanations.profile_document(values, origins))
        else:
            self._copied(explanations.profile(values, origins, verbose=self.verbose))

    def profile_files(self, layers: Iterable[SourceFile]) -> None:
        """Paths of the profile's files, the lowest first."""
        files = [layer for layer in layers if layer.is_file]
        if self.is_json:
            self.document({"files": [{"name": file.name, "path": file.path} for file in files]})
        else:
            self._copied([file.path for file in files])

    def explanation(self, found: Explanation) -> None:
        from devstack.output import explanations

        if self.is_json:
            self.document(explanations.explanation_document(found))
        else:
            self._lines(explanations.explanation(self._human.look, found))

    def trust_summary(self, request: Request) -> None:
        """What a repository would run here, before anyone says that it may."""
        from devstack.output import trust

        self._lines(trust.summary(self._human.look, request))

    def trusted(self, request: Request) -> None:
        """The end of `trust`."""
        if self.is_json:
            from devstack.output import trust

            self.document(trust.document(request))
        self.done(f"{request.material.root} is trusted")

    def _copied(self, lines: Iterable[str]) -> None:
        """Lines that are read by programs too: never cut, signs of ours not replaced."""
        self._result.write("".join(f"{clean(line)}\n" for line in lines))

    def _lines(self, lines: Iterable[str]) -> None:
        self._human.write("".join(f"{line}\n" for line in lines))
