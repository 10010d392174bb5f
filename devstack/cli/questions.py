"""Questions to a person at a terminal, asked only where nothing sensible can be assumed.

Ctrl-C, Ctrl-D, a terminal that goes away and a request to stop are no answer: they raise click.Abort.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from questionary import Question

    from devstack.system import System

_EVERY = 0.1


def confirm(system: System, text: str) -> bool:
    """A yes or no; Enter alone is no."""
    import questionary

    return bool(_answer(system, questionary.confirm(text, default=False)))


def choice(system: System, text: str, choices: Sequence[str], default: str) -> str:
    """One of several."""
    import questionary

    return str(_answer(system, questionary.select(text, list(choices), default=default)))


def value(system: System, text: str, *, secret: bool) -> str:
    """secret: what is typed isn't shown."""
    import questionary

    return str(_answer(system, questionary.password(text) if secret else questionary.text(text)))


def _answer(system: System, question: Question) -> Any:
    from prompt_toolkit.renderer import CPR_Support

    # a question of one line needs no place on the screen, and a terminal that can't tell its own would be complained of
    question.application.renderer.cpr_support = CPR_Support.NOT_SUPPORTED
    answered = threading.Event()
    watcher = threading.Thread(target=_give_up, args=(system, question, answered), daemon=True)
    watcher.start()
    try:
        return question.unsafe_ask()
    except (KeyboardInterrupt, EOFError, OSError):
        raise click.Abort from None
    finally:
        answered.set()
        watcher.join()


def _give_up(system: System, question: Question, answered: threading.Event) -> None:
    """A question has no deadline, but nobody waits for its answer any more once the run was asked to stop."""
    while not answered.wait(_EVERY):
        loop = question.application.loop
        if system.cancelled.is_set() and loop is not None and question.application.is_running:
            loop.call_soon_threadsafe(lambda: question.application.exit(exception=EOFError))
            return
