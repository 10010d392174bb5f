"""An answer that costs something, shared by all threads that want it at about the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """Whoever asks gets an answer that was begun after the question; those who ask meanwhile get the same next one."""

    def __init__(self, find: Callable[[], T], clock: Callable[[], float]) -> None:
        self._find = find
        self._clock = clock
        self._turn = threading.Lock()
        self._last: tuple[float, T] | None = None

    def get(self) -> T:
        asked = self._clock()
        with self._turn:
            if self._last is None or self._last[0] < asked:
                began = self._clock()
                self._last = began, self._find()
            return self._last[1]
