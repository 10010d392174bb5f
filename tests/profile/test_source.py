"""Any bytes give tables or a ProfileError that says where, soon."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack import services
from devstack.errors import ProfileError
from devstack.profile import SourceFile, from_pyproject, load
from devstack.profile.source import decoded, key_text, parse, printable
from tests.profile.loading import loaded, mistakes_of, project, shipped


@pytest.mark.fault("L8")
def test_byte_order_mark_and_windows_line_ends_are_read() -> None:
    assert parse(project(b'\xef\xbb\xbfname = "shop"\r\n[env]\r\nA = "b"\r\n')) == {"name": "shop", "env": {"A": "b"}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfen\0", "devstack.toml:1: the file is UTF-16 (save it as UTF-8)"),
        (b'a = 1\nb = "\xe9"', "devstack.toml:2: byte 0xe9 is not UTF-8 (save the file as UTF-8)"),
        (b"a = 1\n\0", "devstack.toml:2: there is a NUL character (save it as UTF-8 text)"),
        (b'a = 1\nb = "\\u0000"', "devstack.toml:2: there is a NUL character"),
        (b"a = 1\nb = " + b"9" * 5000, "devstack.toml:2: the number is too long"),
        (b"#" * 1_000_001, "devstack.toml: the file has 1.0 MB; a profile has at most 1 MB"),
    ],
    ids=["utf-16", "latin-1", "nul", "escaped nul", "5000 digits", "1 MB"],
)
@pytest.mark.fault("L8")
def test_unreadable_bytes_are_named_with_their_line(content: bytes, expected: str) -> None:
    assert mistakes_of(content) == [expected]


@pytest.mark.fault("L1")
def test_a_syntax_mistake_shows_the_line_with_a_caret() -> None:
    assert mistakes_of('name = "x"\n[python]\nversion = 3.11.2\n') == [
        (
            "devstack.toml:3: expected newline or end of document after a statement, column 15\n"
            "    version = 3.11.2\n"
            "                  ^"
        )
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2\n", "devstack.toml:2: this key is given twice, column 1"),
        ("a = 1\na = 2", "devstack.toml:2: this key is given twice, column 1"),
        ("[a]\n[a]\n", "devstack.toml:2: this table is given twice, column 1"),
        ("a = shop\n", "devstack.toml:1: this is no TOML value; a text needs quotes, column 5"),
        ("a = [1,\n\n", "devstack.toml:1: the file ends too early, column 8"),
    ],
)
def test_common_syntax_mistakes_are_told_in_plain_words(text: str, said: str) -> None:
    assert mistakes_of(text)[0].splitlines()[0] == said


def test_a_long_line_is_shown_around_the_mistake() -> None:
    shown, caret = mistakes_of("a = [" + "1, " * 500 + "x]\n")[0].splitlines()[1:]
    assert len(shown) < 110
    assert shown[caret.index("^")] == "x"


def test_control_characters_of_a_file_never_reach_the_terminal() -> None:
    assert all("\x1b" not in mistake for mistake in mistakes_of('"\\u001b[31m" = 1\n[env]\nA = { "\\u001b" = 1 }'))
    assert printable("a\x1b[0m\nb") == "a\N{REPLACEMENT CHARACTER}[0m\N{REPLACEMENT CHARACTER}b"


BOMBS = {
    "200k keys": "".join(f"k{number} = 1\n" for number in range(60_000)),
    "300k items": "a = [" + "1," * 300_000 + "]",
    "3000 arrays": "a = " + "[" * 3000 + "]" * 3000,
    "70 arrays": "a = " + "[" * 70 + "]" * 70,
    "300 inline tables": "a = " + "{a = " * 300 + "1" + "}" * 300,
    "endless dotted key": "a" + ".a" * 400_000 + " = 1",
    "dotted headers": "\n".join(f"[k{number}{'.a' * 900}]" for number in range(500)),
    "spaced quoted key": '"a"' + ' . "a"' * 100_000 + " = 1",
    "brackets": "[" * 900_000,
    "one long word": "a" * 900_000,
    "many mistakes": "".join(f"key{number} = 1\n" for number in range(10_000)),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.fault("L6")
def test_texts_made_to_exhaust_the_reader_are_refused_soon(text: str) -> None:
    began = time.process_time()
    mistakes = mistakes_of(text)
    # a second on a quiet machine; the quadratic ways out that this guards against take a minute
    assert time.process_time() - began < 5
    assert 0 < len(mistakes) <= 200


@given(st.one_of(st.binary(max_size=300), st.text(alphabet=" \t\n=[]{}.,\"'#\\$ab1-:T\x00é", max_size=120)))
@settings(max_examples=300, deadline=None)
@pytest.mark.fault("L1", "L8")
def test_no_bytes_raise_anything_but_a_profile_error(content: bytes | str) -> None:
    assert _is_loaded_or_refused(project(content))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_damage_to_a_real_profile_raises_anything_but_a_profile_error(data: st.DataObject) -> None:
    content = bytes(decoded(shipped("reference")), "utf-8")
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.integers(0, 40)) :]
    assert _is_loaded_or_refused(project(damaged))


def _is_loaded_or_refused(file: SourceFile) -> bool:
    try:
        load([file], services.declarations(), default_name="x")
    except ProfileError as error:
        return error.exit_code == 2 and all(mistake.text for mistake in error.mistakes) and bool(error.mistakes)
    return True


PYPROJECT = """\
[project]
name = "other"

[tool.devstack]
name = "shop"

[tool.devstack.processes.web]
run = "x"
replicas = "2"
"""


def test_a_profile_in_pyproject_has_the_same_keys_and_its_own_lines() -> None:
    found = from_pyproject(project(PYPROJECT, "pyproject.toml"))
    assert found is not None
    with pytest.raises(ProfileError) as caught:
        loaded(found)
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        'pyproject.toml:9: tool.devstack.processes.web.replicas: wanted a whole number from 0 to 200, got the text "2"'
    ]


@pytest.mark.parametrize("text", ["", "tool = 1", "[tool.ruff]\n", "[project]\nname = 'x'"])
def test_a_pyproject_without_our_table_has_no_profile(text: str) -> None:
    assert from_pyproject(project(text, "pyproject.toml")) is None


@pytest.mark.parametrize("text", ["[tool]\ndevstack = 1", "[tool\n"])
def test_a_spoiled_pyproject_is_a_profile_error(text: str) -> None:
    with pytest.raises(ProfileError):
        from_pyproject(project(text, "pyproject.toml"))


def test_the_digest_of_a_pyproject_is_of_our_table_alone() -> None:
    def digest(text: str) -> str:
        found = from_pyproject(SourceFile("pyproject.toml", text, "project"))
        assert found is not None
        digest: str = loaded(found).digest
        return digest

    text = PYPROJECT.replace('"2"', "2")
    assert digest(text) == digest(text.replace('"other"', '"another"'))
    assert digest(text) != digest(text.replace('run = "x"', 'run = "y"'))


def test_key_paths_read_like_toml() -> None:
    assert key_text(("services", "cache", "port")) == "services.cache.port"
    assert key_text(("files", "a.b/c", "mode")) == 'files."a.b/c".mode'
    assert key_text(("python", "install", 0)) == "python.install[0]"


def test_the_shipped_profiles_are_where_these_tests_look() -> None:
    assert Path(shipped("reference").name).name == "reference"
