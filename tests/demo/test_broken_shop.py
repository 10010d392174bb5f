"""The demo from every broken state that somebody thought of back to an order that ships: `doctor` names the cause, and
what it prints, or `doctor --fix`, mends it. Nothing of the work is lost. `DEVSTACK_SWEEP=whole` takes all states.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.demo.breaking import STATES, State
from tests.demo.scene import Scene, tree, trial
from tests.demo.shop import Shop
from tests.engine_bench import this_machines_engine
from tests.scenarios.machine import finish, until

_IS_WHOLE = os.environ.get("DEVSTACK_SWEEP") == "whole"
#: seconds from an order to its shipment, on a machine with a lot else to do
_PATIENCE = 60.0
#: seconds after which doctor hangs; how long it took is told in the report
_HANGS = 15.0
#: so often a person asks doctor again
_ROUNDS = 4
_FAULT, _BROKEN = pytest.mark.fault, pytest.mark.broken
Record = Callable[[str, object], None]


def _cases(runtime: str) -> list[Any]:
    wanted = [one for one in STATES if runtime in one.where and (_IS_WHOLE or runtime in one.quick)]
    return [
        pytest.param(one, id=one.name, marks=[_BROKEN, *([_FAULT(*one.faults)] if one.faults else [])])
        for one in wanted
    ]


@pytest.mark.parametrize("state", _cases("native"))
def test_from_a_broken_state_back_to_an_order_that_ships(
    bootstrapped: Shop, state: State, record_property: Record
) -> None:
    with trial(bootstrapped, None) as scene:
        _break_and_mend(scene, state, record_property)


@pytest.mark.parametrize("state", _cases("docker"))
def test_so_it_is_with_the_servers_in_containers(contained: Shop, state: State, record_property: Record) -> None:
    with trial(contained, this_machines_engine()) as scene:
        _break_and_mend(scene, state, record_property)


def _break_and_mend(scene: Scene, state: State, record: Record) -> None:
    _make_whole(scene)
    shop, project = scene.shop, scene.project
    before, files = shop.order("mug", 1), tree(scene.root)
    assert shop.ships(before, _PATIENCE), shop.status_of(before)

    act = state.by(scene)
    found, seconds = _doctor(scene)

    named = [one for one in found if one["id"] in state.named]
    assert named, found
    assert all(one["what"] and one["why"] and one["fix"] for one in named), named
    assert seconds < _HANGS
    healed = [state.act] if act is not None else []
    if act is not None:
        act()
    healed += _mend(scene)
    record("broken", {
        "state": state.name, "sort": state.sort, "runtime": "docker" if scene.engine else "native",
        "named": named[0]["id"], "healed": healed, "seconds": round(seconds, 1),
    })  # fmt: skip

    assert until(shop.is_ready, _PATIENCE), project.status()
    after = shop.order("notebook", 1)
    assert shop.ships(after, _PATIENCE), shop.status_of(after)
    assert tree(scene.root) == files
    _assert_kept(scene, state, before)
    assert _doctor(scene)[0] == []


def _mend(scene: Scene) -> list[str]:
    """Do what doctor says until it finds nothing; the commands that it took."""
    done: list[str] = []
    for _ in range(_ROUNDS):
        found, _ = _doctor(scene)
        if not found:
            return done
        commands = dict.fromkeys(one["fix"] for one in found if not one["fixable"]) or ["devstack doctor --fix"]
        command = next(iter(commands))
        _run(scene, command)
        done.append(command)
    raise AssertionError((done, _doctor(scene)[0]))


def _run(scene: Scene, command: str) -> None:
    """A printed command, as a person types it and says yes."""
    verb, *words = shlex.split(command)
    if verb == "devstack":
        answers = ["--yes"] if words[0] == "reset" else []
        # what is still at fault is for the next look
        done = finish(scene.project.popen(*words, *answers), tuple(words))
        assert done.code == 0 or words == ["doctor", "--fix"], done.text
        return
    environ = scene.project.machine.environ
    subprocess.run(["/bin/sh", "-ec", command], cwd=scene.root, env=environ, check=True, timeout=60)


def _doctor(scene: Scene) -> tuple[list[dict[str, Any]], float]:
    """What it finds, and in how many seconds."""
    began = time.monotonic()
    done = finish(scene.project.popen("doctor", "--json"), ("doctor",))
    seconds = time.monotonic() - began
    found: list[dict[str, Any]] = done.document["findings"]
    assert done.code == (8 if any(one["severity"] == "fault" for one in found) else 0), done.text
    return found, seconds


def _assert_kept(scene: Scene, state: State, order: int) -> None:
    """The work of before is where it was, or where what mended it has said that it is kept."""
    match state.work:
        case "there":
            assert scene.shop.status_of(order) == "shipped"
        case "aside":
            assert scene.sql("SELECT status FROM store_order WHERE id = %s", "aside", order) == [("shipped",)]
        case "trash":
            [kept, *_] = sorted((scene.folder / "trash").glob("*-service-postgres"), reverse=True)
            if scene.engine is None:
                assert (kept / "data/postgres/pgdata/base").is_dir()
            else:
                assert "postgres" in (kept / "volumes.json").read_text()


def _make_whole(scene: Scene) -> None:
    """Whatever the test before has left: another may have failed half way."""
    project = scene.project
    project.machine.prefix = ()
    (scene.root / "devstack.local.toml").unlink(missing_ok=True)
    if not _doctor(scene)[0] and scene.shop.is_ready():
        return
    finish(project.popen("up", "--new-ports", "--move-data", "--trust", "--yes"))
    with suppress(AssertionError):
        _mend(scene)
    if _doctor(scene)[0] or not scene.shop.is_ready():
        finish(project.popen("down", "--volumes", "--yes"))
        project.run("up", "--trust", "--yes")
