"""The error tree: one exit code each, and a documentation that can't drift from it."""

from __future__ import annotations

import re

from devstack import errors
from devstack.errors import DevstackError, Mistake, NetworkError, ProfileError


def kinds() -> list[type[DevstackError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DevstackError)]
    return [kind for kind in found if kind is not DevstackError]


def test_the_drawn_tree_is_the_tree() -> None:
    """Names and exit codes in the module's docstring are those of the classes, all of them."""
    drawn = dict(re.findall(r"[├└]── (\w+) +(\d+)", errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == {kind.__name__: kind.exit_code for kind in kinds()}


def test_no_two_kinds_share_an_exit_code() -> None:
    """Only a profile's mistakes are a usage error too."""
    codes = [kind.exit_code for kind in kinds() if kind is not ProfileError]
    assert len(codes) == len(set(codes))
    assert DevstackError.exit_code == 1


def test_an_error_reads_as_what_and_why() -> None:
    assert str(NetworkError("x", "it failed")) == "it failed"
    assert str(NetworkError("x", "it failed", why="no route")) == "it failed: no route"


def test_a_mistake_has_its_place() -> None:
    assert str(Mistake("a.toml", 3, "env.X", "is wrong", "mean Y?")) == "a.toml:3: env.X: is wrong (mean Y?)"
    assert str(Mistake("a.toml", 0, "", "is empty")) == "a.toml: is empty"


def test_a_profile_error_shows_all_mistakes() -> None:
    """One mistake is the cause itself; several are counted, and each is in the evidence."""
    one, two = Mistake("a.toml", 1, "x", "bad"), Mistake("a.toml", 2, "y", "worse")
    assert ProfileError("no", (one,)).why == "a.toml:1: x: bad"
    both = ProfileError("no", (one, two), fix="correct it")
    assert (both.id, both.why, both.fix) == ("profile-invalid", "2 mistakes", "correct it")
    assert both.evidence == ("a.toml:1: x: bad", "a.toml:2: y: worse")
