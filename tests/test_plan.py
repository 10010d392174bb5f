"""Plans as values: ids, needs that fall away, points, the text."""

from __future__ import annotations

from devstack import plan
from devstack.actions import Action, DiscardData, StartProgram, StopProgram
from devstack.plan import Draft, Plan


def test_every_action_has_a_verb() -> None:
    """It is half of a step's id and what people read."""
    kinds = [kind for kind in vars(plan).values() if isinstance(kind, type) and issubclass(kind, Action)]
    assert [kind for kind in kinds if kind is not Action and not kind.verb] == []


def test_needs_that_were_not_planned_fall_away() -> None:
    draft = Draft("up")
    draft.add("a", StartProgram("a"), "because")
    draft.add("b", StartProgram("b"), "because", needs=["a:start", "c:start", "a:start"])
    assert draft.finished(()).steps[1].needs == ("a:start",)
    assert "a:start" in draft
    assert "c:start" not in draft


def test_a_point_stands_for_its_steps() -> None:
    """For none, where the thing is usable already; also by way of another point's steps."""
    draft = Draft("up")
    steps = [draft.add("a", StopProgram("a"), ""), draft.add("a", StartProgram("a"), "")]
    draft.point("ready", steps)
    draft.point("idle", [])
    draft.add("b", StartProgram("b"), "", needs=["ready", "idle", "unknown"])
    assert draft.finished(()).steps[2].needs == ("a:stop", "a:start")


def test_the_text_has_a_line_a_step() -> None:
    draft = Draft("down")
    first = draft.add("worker", StopProgram("worker"), "the stack goes down")
    draft.add("data", DiscardData(), "--volumes", needs=[first], destructive=True)
    made = draft.finished(("a warning",))
    assert made.text() == "worker:stop   the stack goes down\ndata:discard  --volumes  (after worker:stop)"
    assert made.warnings == ("a warning",)
    assert [step.id for step in made.destructive] == ["data:discard"]


def test_an_empty_plan() -> None:
    assert Plan("up").is_empty
    assert Plan("up").text() == ""
