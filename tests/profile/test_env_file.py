"""Env files: what they say, byte for byte, and the lines that say nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.errors import ProfileError
from devstack.profile.env_file import is_example, parse_env

TEXT = b"""\xef\xbb\xbfA=1
# a comment
export B="two\nlines" # c
C='it\\'s $X ${Y} %(z)s'
D=un quoted # c
ALONE
EMPTY=
RAW=\xff\xfe
ESCAPED="\\n\\t\\""
A=last
"""


def test_what_a_file_says() -> None:
    assert parse_env(".env", TEXT) == {
        "A": "last", "B": "two\nlines", "C": "it's $X ${Y} %(z)s", "D": "un quoted", "EMPTY": "",
        "RAW": "\udcff\udcfe", "ESCAPED": '\n\t"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "example"),
    [(".env.example", True), ("env.sample", True), ("config/.env.dist", True), (".env.template", True),
     ("example.env", True), (".env", False), ("example/.env", False), (".env.production", False)],
)  # fmt: skip
def test_an_examples_empty_values_say_nothing(name: str, *, example: bool) -> None:
    """They would override what the project does without them."""
    assert is_example(name) is example
    assert parse_env(name, b"KEY=\nDEBUG=1\n") == ({"DEBUG": "1"} if example else {"KEY": "", "DEBUG": "1"})


def test_every_line_that_cant_be_read_is_told() -> None:
    text = b"A=1\n\n  foo bar\nMY-X=1\nN=a\0b\r\nB='unclosed\n"
    with pytest.raises(ProfileError) as caught:
        parse_env(".env", text)
    assert [(mistake.file, mistake.line) for mistake in caught.value.mistakes] == [(".env", n) for n in (3, 4, 5, 6)]


@given(st.binary(max_size=300))
def test_any_bytes_give_variables_or_mistakes(content: bytes) -> None:
    with contextlib.suppress(ProfileError):
        found = parse_env(".env", content)
        assert all(name.isidentifier() and "\0" not in value for name, value in found.items())


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
def test_a_quoted_value_is_itself(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    assert parse_env(".env", f"A='{quoted}'\n".encode()) == {"A": value}
