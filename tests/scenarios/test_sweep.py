"""devstack is killed at the calls by which it changes something: at some, or at every one (`scripts/faults`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict

import pytest

from tests.scenarios.machine import Machine
from tests.sweep.chance import strike_at_random
from tests.sweep.sweeping import VERBS, Result, sweep

Record = Callable[[str, object], None]
_IS_WHOLE = os.environ.get("DEVSTACK_SWEEP") == "whole"
#: how many points of each verb are taken where not all are
_FEW = {"up, for the first time": 6, "up, after changes": 4, "snapshot save": 3, "snapshot restore": 4,
        "reset --data": 4, "down": 3}  # fmt: skip
#: in how many parts every point of a verb is taken, so that they can be worked off side by side
_SHARES = {"up, for the first time": 6, "up, after changes": 3, "snapshot save": 3, "snapshot restore": 3,
           "reset --data": 3, "down": 1}  # fmt: skip


def _few(points: int, count: int) -> Iterable[int]:
    """From the first to the last one, evenly."""
    return sorted({1 + (points - 1) * index // (count - 1) for index in range(count)})


def _told(result: Result, record: Record) -> None:
    record("sweep", asdict(result))
    result.assert_clean()


@pytest.mark.fault("I9")
@pytest.mark.parametrize(
    ("verb", "share"), [(verb, share) for verb in VERBS for share in range(_SHARES[verb] if _IS_WHOLE else 1)]
)
def test_killed_at_any_call_and_run_again_nothing_is_amiss(
    machine: Machine, verb: str, share: int, record_property: Record
) -> None:
    shares, few = _SHARES[verb], _FEW[verb]
    result = sweep(
        machine, verb, lambda points: range(share + 1, points + 1, shares) if _IS_WHOLE else _few(points, few)
    )
    _told(result, record_property)


@pytest.mark.fault("I5", "I9")
@pytest.mark.parametrize("seed", range(12 if _IS_WHOLE else 1))
def test_whatever_is_killed_at_any_time_the_recovery_too(
    machine: Machine, seed: int, record_property: Record
) -> None:
    _told(strike_at_random(machine, seed, 12 if _IS_WHOLE else 3), record_property)
