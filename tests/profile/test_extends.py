"""The chain of profiles that extend each other."""

import pytest

from devstack.errors import ProfileError
from devstack.profile import ensure_no_cycle, extends_of, is_shipped
from tests.profile.loading import project


def test_shipped_names_have_no_slash_and_no_toml() -> None:
    assert is_shipped("django-celery")
    assert not is_shipped("base.toml")
    assert not is_shipped("../base")


def test_what_a_file_extends() -> None:
    assert extends_of(project('name = "x"')) is None
    assert extends_of(project('extends = "../base.toml"')) == "../base.toml"


@pytest.mark.parametrize("value", ["1", '""', '"/etc/base.toml"', '"~/base.toml"', "['a']"])
def test_extending_nothing_is_told_with_its_line(value: str) -> None:
    with pytest.raises(ProfileError) as caught:
        extends_of(project(f"name = 'x'\nextends = {value}"))
    assert str(caught.value.mistakes[0]).startswith("devstack.toml:2: extends: wanted a shipped profile's name")


def test_a_cycle_is_printed() -> None:
    with pytest.raises(ProfileError) as caught:
        ensure_no_cycle(project("extends = 'a.toml'", "b.toml"), "a.toml", ["top", "a.toml", "b.toml"])
    assert "b.toml:1: extends: profiles extend each other: a.toml → b.toml → a.toml" in str(caught.value.mistakes[0])


def test_a_chain_that_goes_on_is_stopped_and_a_short_one_is_not() -> None:
    file = project("extends = 'next'")
    ensure_no_cycle(file, "next", ["a", "b"])
    with pytest.raises(ProfileError, match="too many"):
        ensure_no_cycle(file, "next", [str(number) for number in range(16)])
