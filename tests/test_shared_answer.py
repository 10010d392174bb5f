"""One answer for all who ask at about the same time, and never one that was begun before the question."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

from devstack.shared_answer import SharedAnswer


def test_those_who_ask_meanwhile_share_the_next_answer() -> None:
    clock, began, go, counted = itertools.count(1), threading.Event(), threading.Event(), itertools.count(1)

    def find() -> int:
        began.set()
        assert go.wait(20)
        return next(counted)

    shared = SharedAnswer(find, lambda: float(next(clock)))
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(shared.get)
        assert began.wait(20)
        # the first answer is being found already: these five want to know what is true from now on
        others = [pool.submit(shared.get) for _ in range(5)]
        go.set()
        assert first.result() == 1
        assert all(other.result() >= 2 for other in others)


def test_whoever_asks_later_gets_a_new_answer() -> None:
    clock, counted = itertools.count(1), itertools.count(1)
    shared = SharedAnswer(lambda: next(counted), lambda: float(next(clock)))
    assert [shared.get(), shared.get()] == [1, 2]
