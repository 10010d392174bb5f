"""YAML as plain values: what stands there, where, and nothing that a hostile file wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.detect.yaml_text import MAX_CHARACTERS, parse
from devstack.errors import UsageError


def test_scalars_are_the_texts_that_stand_there() -> None:
    text = "a: 0755\nb: 1.10\nc: yes\nd: True\ne: ~\nf: 08:30\ng: null\nh: 'null'\ni: on\nj: 0x1F\nk:\n"
    assert parse("f", text).value == {
        "a": "0755", "b": "1.10", "c": "yes", "d": "true", "e": None, "f": "08:30", "g": None, "h": "null", "i": "on",
        "j": "0x1F", "k": None,
    }  # fmt: skip


def test_anchors_and_merge_keys() -> None:
    text = """
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
one: {<<: *base, b: 5}
two: {<<: [*base, *other], d: *base}
"""
    value = parse("f", text).value
    assert value["one"] == {"a": "1", "b": "5"}
    assert value["two"] == {"a": "1", "b": "2", "c": "4", "d": {"a": "1", "b": "2"}}


def test_lines_of_keys_and_items() -> None:
    document = parse("compose.yaml", "services:\n  web:\n    ports:\n      - a\n      - b\n")
    assert document.place(("services", "web", "ports", 1)) == "compose.yaml:5"
    assert document.place(("services", "web", "image")) == "compose.yaml:2"
    assert document.place(("volumes",)) == "compose.yaml"


@pytest.mark.parametrize(("text", "said"), [
    ("a: [1, 2", "f:"),
    ("a: 1\na: 2", "f:2: the key 'a' is given twice"),
    ("a: !!python/object/apply:os.system [id]", "f:1: the tag"),
    ("a: !thing 1", "f:1: the tag !thing isn't known here"),
    ("? [a]\n: 1", "f:1: a key is no text"),
    ("a: &a [*a]", "nested more than 50 deep"),
    ("a: &a {b: *a}", "nested more than 50 deep"),
    ("a: {<<: 5}", "f:1: what `<<` names is no table"),
    ("a: 1\n---\nb: 2", "f:"),
    ("a: \0", "no text has"),
    ("a: *nothing", "f:1"),
    ("[" * 5000, "nested"),
    ("a" * (MAX_CHARACTERS + 1), "characters"),
])  # fmt: skip
def test_what_is_refused_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse("f", text)
    assert said in caught.value.why
    assert caught.value.id == "yaml-invalid"


def test_a_billion_laughs_stay_small() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(UsageError, match="can't be read") as caught:
        parse("f", "\n".join(lines))
    assert "values" in caught.value.why


@given(st.text(alphabet=" \n-:[]{}&*!<#'\"|>%@`,?ab01", max_size=60))
def test_any_text_is_a_value_or_a_mistake(text: str) -> None:
    try:
        parse("f", text)
    except UsageError as error:
        assert error.why  # noqa: PT017 - hypothesis gives texts of both sorts


@pytest.mark.filterwarnings("error")
def test_an_anchor_may_be_set_anew() -> None:
    assert parse("f", "a: &x 1\nb: *x\nc: &x 2\nd: *x\n").value == {"a": "1", "b": "1", "c": "2", "d": "2"}
