"""Many commands that change one stack, at the same moment: one works, the others are told who does."""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

from tests.scenarios.machine import Project, finish

_COMMANDS = (("up",), ("down",), ("reset", "--data", "--yes"), ("restart", "web"))
_MANY = 20
_ROUNDS = 5 if os.environ.get("DEVSTACK_SWEEP") == "whole" else 1


@pytest.mark.fault("E7")
@pytest.mark.parametrize("turn", range(_ROUNDS))
def test_of_twenty_at_once_one_works_and_the_others_name_it(mini: Project, turn: int) -> None:
    if turn % 2 == 0:
        mini.run("up")
    said = [_COMMANDS[(number + turn) % len(_COMMANDS)] for number in range(_MANY)]
    children = [mini.popen(*words, "--json") for words in said]
    done = [finish(child, words) for child, words in zip(children, said, strict=True)]

    codes = Counter(one.code for one in done)
    assert codes.keys() <= {0, 75}, [one.text for one in done if one.code not in (0, 75)]
    assert codes[0] >= 1
    pairs = zip(children, said, strict=True)
    words_of = {child.pid: " ".join(("devstack", *words, "--json")) for child, words in pairs}
    for one in done:
        if one.code == 75:
            assert one.error["id"] == "stack-busy"
            named = re.match(r"pid (\d+): (.+), for \d+ s$", one.error["why"])
            assert named, one.error
            assert words_of[int(named[1])] == named[2]

    mini.run("up")
    mini.assert_up()
    mini.assert_single()
    assert mini.redis("GET", "goods") == b"mug,bowl"
    assert mini.run("doctor", "--json").document == {"findings": []}
    assert not (mini.folder / "lock.json").exists()
