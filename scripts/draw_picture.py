"""Draws docs/run.svg anew: bootstraps the demo for real, in a folder of its own, and keeps what was on the screen.

The servers and packages come from this user's cache, as on a second machine of a team with a warm cache; the times in
the picture are those of this very run. Nothing is left running.
"""

import io
import os
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from devstack.executor import Event
from devstack.output import Call, results
from devstack.output.live import Picture, Size
from devstack.output.progress import PlainProgress
from devstack.output.terminal import Look
from devstack.plan import Down, Plan, Up
from devstack.stack import Options, Stack
from devstack.stack.projects import Wanted, check_out
from devstack.system import System

TARGET = Path(__file__).resolve().parent.parent / "docs" / "run.svg"
COLUMNS = 84
#: a dark window with a border reads well on a light page and on a dark one
THEME = TerminalTheme(
    (13, 17, 23), (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207),
     (177, 186, 196)],
)  # fmt: skip
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        os.environ |= {"HOME": folder, "XDG_STATE_HOME": f"{folder}/state", "XDG_RUNTIME_DIR": f"{folder}/run"}
        Path(folder, "run").mkdir(mode=0o700)
        lines = bootstrap(System(), Path(folder))
    TARGET.write_text(drawn(lines), encoding="utf-8")


def bootstrap(system: System, folder: Path) -> list[str]:
    """The lines that a person sees at the end."""
    project = check_out(system, Wanted("demo", folder), quiet)
    stack = Stack(system, project.root, Options(trust=True, offline="PICTURE_OFFLINE" in os.environ))
    pictures: list[Picture] = []

    def show(plan: Plan) -> None:
        pictures.append(Picture(plan, "bootstrap shop"))

    def listen(event: Event) -> None:
        pictures[0].add(event)

    try:
        run = stack.up(Up(name="bootstrap"), listen, show)
        look = Look(COLUMNS, has_colour=True)
        rows = pictures[0].lines(run.outcome.took, Size(COLUMNS, 50))
        painted = ["".join(look.paint(text, style) for text, style in row) for row in rows]
        return [
            f"$ {look.paint('python3 bootstrap.py demo', 'bold')}",
            f"{look.paint('✓', 'green')} cloned into ./shop",
            *painted, *results.ready(look, run.status, run.outcome.took, Call("python3 ../bootstrap.py", "shop")),
        ]  # fmt: skip
    finally:
        stack.down(Down(), lambda event: None, lambda plan: None)


def quiet(plan: Plan) -> PlainProgress:
    return PlainProgress(plan, lambda text: None, verbose=False)


def drawn(lines: list[str]) -> str:
    """An SVG that fetches nothing: the fonts are the reader's own."""
    console = Console(record=True, width=COLUMNS, force_terminal=True, color_system="standard", file=io.StringIO())
    console.print(Text.from_ansi("\n".join(lines)), no_wrap=True)
    svg = console.export_svg(title="devstack", theme=THEME, unique_id="run")
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: ?[^;}\"]+", f"font-family: {FONTS}", svg)
    return re.sub(r"\n\s*\n+", "\n", svg)


main()
