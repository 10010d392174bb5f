"""Nothing of a stranger's text is obeyed by a terminal, and nothing is wider than it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.output.text import ascii_of, cells, clean, cut, one_line, pieces, wrap
from tests.output.samples import HOSTILE

_OBEYED = {chr(code) for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))} | set(
    "\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u061c"
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not _OBEYED & set(clean(f"before {text} after"))
    assert clean(f"before {text} after").startswith("before ")
    assert clean(f"before {text} after").endswith(" after")


@given(st.text(st.sampled_from("\x1b[]P\\;:0m\x07\x9b\x9c\x9d\x90\r\n\tab ü\u202e")))
def test_no_mixture_of_sequences_gets_through(text: str) -> None:
    assert not _OBEYED & set(clean(text))


def test_links_and_colours_go_and_their_words_stay() -> None:
    assert clean("\x1b]8;;http://evil\x1b\\words\x1b]8;;\x1b\\ \x1b[1;31min red\x1b[0m") == "words in red"


def test_a_carriage_return_hides_nothing() -> None:
    assert clean("deleted everything\rall is well\r\n") == "deleted everything all is well\n"


def test_one_line_has_neither_ends_nor_tabs() -> None:
    assert one_line("a\n\tb\r\nc  d") == "a b c d"


def test_wide_and_combining_characters_count_as_they_look() -> None:
    assert [cells(text) for text in ("abc", "日本", "é", "e\u0301")] == [3, 4, 1, 1]


@given(st.text(st.sampled_from("ab 日é…")), st.integers(1, 12))
def test_a_cut_text_fits(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= width
    assert cut(text, width) == text or cut(text, width).endswith("…")


@given(st.text(st.sampled_from("ab 日")), st.integers(2, 12))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert "".join(pieces(text, width)) == text


def test_wrapping_ends_at_the_most_lines_and_says_so() -> None:
    assert wrap("one two three four five", 9, most=2) == ["one two", "three fo…"]
    assert wrap("one two", 9, most=2) == ["one two"]


def test_ascii_keeps_a_cut_line_as_wide_as_it_was() -> None:
    assert ascii_of("✓ ready · wai…") == "+ ready - wai~"
    assert ascii_of("install …") == "install ..."
    assert ascii_of("für 日本") == "f?r ??"
