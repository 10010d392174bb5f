"""A process's output in pieces that end anywhere is as harmless as whole lines are, and a prompt is seen at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.output.stream import Cleaned, Lines
from devstack.output.text import clean
from tests.output.samples import HOSTILE


def test_a_prompt_without_a_line_end_is_shown_and_ended() -> None:
    heard: list[str] = []
    stream = Cleaned(heard.append)
    stream("> app.py(3)\n(Pdb) ")
    assert heard == ["> app.py(3)\n(Pdb) "]
    stream.end()
    assert heard[1:] == ["\n"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_terminal_would_obey_is_taken_out_wherever_the_pieces_end(hostile: str) -> None:
    text = f"before {hostile} after\n"
    for place in range(len(text)):
        heard: list[str] = []
        stream = Cleaned(heard.append)
        stream(text[:place])
        stream(text[place:])
        stream.end()
        shown = "".join(heard)
        assert clean(shown) == shown
        assert "before" in shown


@given(st.lists(st.text(alphabet="ab\n\r", max_size=5), max_size=6))
def test_lines_are_the_same_however_the_text_was_cut(pieces: list[str]) -> None:
    heard: list[str] = []
    lines = Lines(heard.append)
    for piece in pieces:
        lines(piece)
    lines.end()
    text = "".join(pieces)
    assert heard == [clean(line) for line in text.split("\n")[: None if text and text[-1] != "\n" else -1]]
