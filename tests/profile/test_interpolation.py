"""`${…}`: references are found and filled in, everything else stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.profile.interpolation import escape, fill, has_unclosed, references, resolve
from devstack.profile.secret import Secret

VALUES: dict[str, str | Secret] = {"port": "8000", "project.root": "/srv/${port}", "env.KEY": Secret("s3cret")}
TEXTS = st.text(alphabet="${}ab.\\ \n", max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runserver ${port}", "runserver 8000"),
        ("${port}${port}", "80008000"),
        ("$port $ $$ $(port) 100%", "$port $ $$ $(port) 100%"),
        ("$${port}", "${port}"),
        ("$$${port}", "$${port}"),
        ("${project.root}", "/srv/${port}"),
        ("${", "${"),
        ("${port", "${port"),
        ("", ""),
    ],
)
def test_resolved_text(text: str, expected: str) -> None:
    assert resolve(text, VALUES.__getitem__) == expected


def test_one_secret_part_makes_the_whole_secret() -> None:
    resolved = resolve("a-${port}-${env.KEY}", VALUES.__getitem__)
    assert isinstance(resolved, Secret)
    assert resolved.reveal() == "a-8000-s3cret"
    assert "s3cret" not in f"{resolved} {resolved!r}"


def test_an_unknown_name_is_the_lookups_to_refuse() -> None:
    with pytest.raises(KeyError, match="nope"):
        resolve("${nope}", VALUES.__getitem__)


def test_references_in_order_with_repeats() -> None:
    assert references("${b} $${no} ${a.c} ${b} ${}") == ("b", "a.c", "b", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${", True),
        ("a ${b", True),
        ("${a${b}}", True),
        ("${a\n}", True),
        ("${a}", False),
        ("$${", False),
        ("$", False),
    ],
)
def test_an_unclosed_reference_is_noticed(text: str, expected: bool) -> None:
    assert has_unclosed(text) is expected


@given(TEXTS)
def test_an_escaped_text_resolves_to_itself(text: str) -> None:
    assert references(escape(text)) == ()
    assert resolve(escape(text), VALUES.__getitem__) == text


@given(st.lists(st.tuples(TEXTS, st.sampled_from(["a", "b.c"]))), st.dictionaries(st.sampled_from(["a", "b.c"]), TEXTS))
def test_values_arrive_unchanged_whatever_they_hold(parts: list[tuple[str, str]], given_values: dict[str, str]) -> None:
    values = {"a": "", "b.c": "", **given_values}
    # a literal text that ends in `$` would read `$${` together with the reference after it
    pieces = [(text.rstrip("$"), name) for text, name in parts]
    text = "".join(f"{escape(literal)}${{{name}}}" for literal, name in pieces)
    assert references(text) == tuple(name for _, name in pieces)
    assert resolve(text, values.__getitem__) == "".join(literal + values[name] for literal, name in pieces)


def test_filling_in_leaves_everything_else_for_later() -> None:
    assert fill("${project.name} $${project.name} ${port}", {"project.name": "shop"}) == "shop $${project.name} ${port}"
