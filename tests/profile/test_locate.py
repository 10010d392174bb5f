"""Lines of keys, for every way that TOML has to write one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.profile.locate import line_of
from devstack.profile.source import Path, SourceFile, parse
from tests.profile.loading import project

TEXT = '''\
# [not.a.table]
name = "a # no comment" # a comment
"quoted key".'x' = 1
text = """
[no.table]
no = "key \\""" }"
""" # end
raw = \'\'\'
a = 1\'\'\'

[tasks.migrate]   # comment
run = "x = [1]"
inputs = [
    "a",   # first, with ] in a comment
    # nothing
    "b",
]
env = { A = "}", B.C = [ { D = 1 }, { D = 2 } ] }
needs = [ ]

[processes]
web.run = "x"
web . ready = { http = "/" }

[[exchanges]]
name = "a"
[exchanges.sub]
key = 1
[[exchanges]]
name = "b"
[[exchanges.bindings]]
to = "q"
when = 2024-01-01 10:00:00
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("quoted key", "x"), 3),
        (("text",), 4),
        (("no",), 0),
        (("raw",), 8),
        (("tasks",), 11),
        (("tasks", "migrate"), 11),
        (("tasks", "migrate", "run"), 12),
        (("tasks", "migrate", "inputs", 0), 14),
        (("tasks", "migrate", "inputs", 1), 16),
        (("tasks", "migrate", "env", "B", "C", 1, "D"), 18),
        (("tasks", "migrate", "needs"), 19),
        (("tasks", "migrate", "missing"), 11),
        (("processes", "web", "run"), 22),
        (("processes", "web", "ready", "http"), 23),
        (("exchanges", 0, "name"), 26),
        (("exchanges", 0, "sub", "key"), 28),
        (("exchanges", 1), 29),
        (("exchanges", 1, "name"), 30),
        (("exchanges", 1, "bindings", 0, "to"), 32),
        (("exchanges", 1, "bindings", 0, "when"), 33),
    ],
)
def test_line_of_a_key(path: Path, line: int) -> None:
    assert line_of(project(TEXT), path) == line
    assert line_of(project(TEXT.replace("\n", "\r\n").encode()), path) == line


def test_lines_in_pyproject_are_those_of_the_whole_file() -> None:
    file = SourceFile("pyproject.toml", "[tool]\n\ndevstack.name = 'x'\n", "project", ("tool", "devstack"))
    assert line_of(file, ("name",)) == 3


def test_no_text_at_all_and_no_toml_have_no_lines() -> None:
    assert line_of(project(""), ("name",)) == 0
    assert line_of(project(b"\xff"), ("name",)) == 0
    assert line_of(project("= ["), ("name",)) == 0


KEYS = st.text(alphabet="ab-_. \"'é#[=", min_size=1, max_size=4)
VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text(alphabet="ab#]},[{='\\\" é", max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"\n{_written(inner)}" for inner in value) + "\n]"
    return _quoted(value) if isinstance(value, str) else str(value).lower()


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_every_key_of_any_file_is_found_on_its_line(values: dict[str, object]) -> None:
    text, expected = "", {}
    for key, value in values.items():
        expected[key] = text.count("\n") + 1
        text += f"{_quoted(key)} = {_written(value)}\n"
    file = project(text)
    assert parse(file) == values
    assert {key: line_of(file, (key,)) for key in values} == expected
