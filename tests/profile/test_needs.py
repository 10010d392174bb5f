"""What comes before what, and which programs a process becomes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.profile import Process, check_needs, has_port, process_needs, programs_of, task_needs
from devstack.profile.needs import first_cycle
from tests.profile.loading import profile_of

TEXT = """
[services.postgres]
[services.redis]
[tasks]
migrate = { run = "a" }
seed = { run = "b" }
style = { run = "c", needs = [] }
[processes]
web = { run = "a" }
lone = { run = "a", needs = [] }
after = { run = "a", needs = ["web", "seed"] }
[checks]
test = "pytest"
lint = { run = "ruff", needs = [] }
"""


def test_left_out_needs_of_tasks_are_the_services_and_the_task_before() -> None:
    profile = profile_of(TEXT)
    assert task_needs(profile, "migrate") == ("postgres", "redis")
    assert task_needs(profile, "seed") == ("postgres", "redis", "migrate")
    assert task_needs(profile, "style") == ()


def test_left_out_needs_of_processes_and_checks_are_the_services_and_tasks() -> None:
    profile = profile_of(TEXT)
    everything = ("postgres", "redis", "migrate", "seed", "style")
    assert process_needs(profile, "web") == everything
    assert process_needs(profile, "lone") == ()
    assert process_needs(profile, "after") == ("web", "seed")
    assert check_needs(profile, "test") == everything
    assert check_needs(profile, "lint") == ()


@pytest.mark.parametrize(
    ("replicas", "programs"),
    [(1, (("worker", 1),)), (2, (("worker-1", 1), ("worker-2", 2))), (0, ())],
)
def test_programs_of_a_process(replicas: int, programs: tuple[tuple[str, int], ...]) -> None:
    assert programs_of("worker", Process(run="x", replicas=replicas)) == programs


def test_web_and_fixed_ports_give_a_port() -> None:
    assert has_port(Process(run="x", role="web"))
    assert has_port(Process(run="x", port=9000))
    assert not has_port(Process(run="x", role="worker", ports={"smtp": 2525}))


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, ("b", "c", "b")),
        ({"a": ("a",)}, ("a", "a")),
        ({"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ("elsewhere",)}, ()),
        ({}, ()),
    ],
)
def test_the_first_cycle(graph: dict[str, tuple[str, ...]], cycle: tuple[str, ...]) -> None:
    assert first_cycle(graph) == cycle


def test_a_long_chain_of_needs_is_no_recursion() -> None:
    graph = {str(number): (str(number + 1),) for number in range(20_000)}
    assert first_cycle(graph) == ()


@given(st.dictionaries(st.sampled_from("abcde"), st.lists(st.sampled_from("abcde"), max_size=3).map(tuple)))
def test_a_cycle_that_is_found_is_one(graph: dict[str, tuple[str, ...]]) -> None:
    cycle = first_cycle(graph)
    assert all(need in graph[name] for name, need in itertools.pairwise(cycle))
    assert cycle[:1] == cycle[-1:]
