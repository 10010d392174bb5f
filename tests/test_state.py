"""The state file: what was dumped is parsed, and nothing else is ever believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.errors import UsageError
from devstack.state import VERSION, ProgramState, Record, SupervisorState, dump, parse

texts = st.text(max_size=20)
tables = st.dictionaries(texts, texts, max_size=4)
records = st.builds(
    Record, stack=st.text(min_size=1, max_size=20), root=texts, version=st.just(VERSION), runtime=texts, profile=texts,
    ports=st.dictionaries(texts, st.integers(1, 65535), max_size=4), generations=tables, tasks=tables, ready=tables,
    base=tables, told=tables,
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8,
)
GOOD = Record("abc", "/srv/shop", runtime="native", ports={"web": 8000}, tasks={"migrate": "k"})


@given(records)
def test_round_trip(record: Record) -> None:
    """Any text at all survives, surrogates and control characters too."""
    assert parse(dump(record)) == record


def test_the_text_is_stable() -> None:
    """The same record is the same bytes, whatever the order it was put together in."""
    one = GOOD.with_entry("ports", "api", 9000)
    other = Record("abc", "/srv/shop", runtime="native", ports={"api": 9000, "web": 8000}, tasks={"migrate": "k"})
    assert dump(one) == dump(other)
    assert dump(one).endswith("}\n")


@pytest.mark.parametrize("length", range(len(dump(GOOD)) - 2))
def test_a_text_cut_anywhere_is_damaged(length: int) -> None:
    """What a crash without a rename would have left."""
    assert parse(dump(GOOD)[:length]) is None


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: data.decode(errors="replace")))
def test_any_text_is_a_record_or_nothing(text: str) -> None:
    assert parse(text) is None


@given(st.sampled_from(sorted(json.loads(dump(GOOD)))), anything)
def test_a_wrong_value_anywhere_is_never_a_crash(key: str, value: Any) -> None:
    """Each field replaced by any JSON: a record, nothing, or a newer devstack's."""
    raw = {**json.loads(dump(GOOD)), key: value}
    try:
        found = parse(json.dumps(raw))
    except UsageError:
        assert key == "version"
        return
    assert found is None or parse(dump(found)) == found


@pytest.mark.parametrize(
    "damage",
    [
        {"stack": ""}, {"stack": 1}, {"root": None}, {"ports": []}, {"ports": {"web": "8000"}}, {"tasks": {"a": 1}},
        {"version": "1"}, {"version": None}, {"version": True}, {"ports": {"web": True}}, {"ports": {"web": 0}},
        {"ports": {"web": 70000}},
    ],
)  # fmt: skip
def test_damage_is_seen(damage: dict[str, Any]) -> None:
    assert parse(json.dumps({**json.loads(dump(GOOD)), **damage})) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "1", "{}", "[" * 100_000, "9" * 5000, '{"version": 1}'])
def test_other_documents_are_damaged(text: str) -> None:
    assert parse(text) is None


def test_a_newer_file_is_refused_and_not_overwritten_as_damaged() -> None:
    raw = {**json.loads(dump(GOOD)), "version": VERSION + 1}
    with pytest.raises(UsageError) as caught:
        parse(json.dumps(raw))
    assert caught.value.id == "state-newer"


def test_keys_of_another_release_are_left_out() -> None:
    """An older devstack's file lacks some, and those it had besides don't matter."""
    raw = {"version": VERSION, "stack": "abc", "colour": "blue"}
    assert parse(json.dumps(raw)) == Record("abc", "")


def test_with_entry_changes_a_copy() -> None:
    assert GOOD.with_entry("tasks", "seed", "s").tasks == {"migrate": "k", "seed": "s"}
    assert GOOD.with_entry("tasks", "migrate", None).tasks == {}
    assert GOOD.with_entry("tasks", "unknown", None) == GOOD
    assert GOOD.tasks == {"migrate": "k"}


@pytest.mark.parametrize(
    ("phase", "pid", "runs"),
    [("running", 1, True), ("starting", 1, True), ("running", None, False), ("backoff", None, False),
     ("stopping", 1, False), ("exited", None, False), ("fatal", None, False)],
)  # fmt: skip
def test_only_a_living_process_runs(phase: Any, pid: int | None, runs: bool) -> None:
    assert ProgramState("web", phase, pid).is_running is runs


def test_a_supervisor_without_a_run_is_not_there() -> None:
    assert not SupervisorState().is_running
    assert SupervisorState(run="r1").is_running
