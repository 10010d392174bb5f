"""What a person is shown before trusting a repository."""

from __future__ import annotations

import pytest

from devstack.output import trust
from devstack.output.terminal import Look
from devstack.profile.model import File, Process, Profile, Python, Service, Task
from devstack.stack.trusting import Request
from devstack.trust import Change, Item, Material
from tests.output.samples import HOSTILE, PAINT


def request(*, known: bool = False, changes: tuple[Change, ...] = (), run: str = "seed", **more: object) -> Request:
    profile = Profile(
        name="p", tasks={"seed": Task(run=run)}, processes={
            "web": Process(role="web", run="serve", watch=("src/**",)),
            "tidy": Process(run="tidy", schedule="0 3 * * *"),
        },
        services={"cache": Service(kind="redis", version="7")}, files={"a.ini": File(content="x")}, inherit=("TOKEN",),
        python=Python(indexes=("https://packages.example/simple",)),
    )
    material = Material("/src/p", 0, (Item("devstack.toml", "profile", "1"), Item(".env", "env file", "2")))
    return Request(profile, "devstack.toml", material, changes, known, stranger=False)


def test_every_command_is_shown_whole() -> None:
    lines = trust.summary(Look(60), request(run="python -c " + "x" * 200))
    assert "x" * 200 in "".join(line.strip() for line in lines)


def test_all_that_the_profile_does_is_told() -> None:
    assert trust.summary(Look(None), request()) == [
        "This repository is not trusted yet.",
        "It would install its requirements (packages may run code) and:",
        "  run tasks.seed        seed",
        "  run processes.web     serve",
        "  run processes.tidy    tidy",
        "  run at times          tidy (0 3 * * *)",
        "  restart on change     web (src/**)",
        "  start services        cache (redis 7)",
        "  fetch packages from   https://packages.example/simple",
        "  make files            a.ini",
        "  read env files        .env",
        "  read from your shell  TOKEN",
        "  as long as unchanged  devstack.toml, .env",
    ]


def test_what_changed_comes_first_with_its_lines() -> None:
    changes = (Change("devstack.toml", "profile", "changed", ("-a", "+b")), Change("x.sh", "script", "new"))
    lines = trust.summary(Look(None), request(known=True, changes=changes))
    assert lines[:5] == [
        "This repository has changed since it was trusted:",
        "  devstack.toml (profile) changed", "    | -a", "    | +b", "  x.sh (script) is new",
    ]  # fmt: skip
    assert trust.document(request(changes=changes))["changes"] == [
        {"file": "devstack.toml", "kind": "profile", "change": "changed"},
        {"file": "x.sh", "kind": "script", "change": "new"},
    ]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_no_repository_speaks_to_the_terminal(hostile: str) -> None:
    changes = (Change(hostile, "profile", "changed", (hostile.replace("\n", " "),)),)
    for line in trust.summary(Look(40), request(run=f"x '{hostile}'", changes=changes)):
        assert PAINT.sub("", line).isprintable(), line
