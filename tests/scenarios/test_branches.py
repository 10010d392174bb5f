"""A checkout that changes its branch: what is stale is told, the least is done, and the data of before can be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.scenarios.machine import Machine, Project, commit, git

PROFILE = """name = "shop"
[python]
packages = ["psycopg[binary]"]
[services.postgres]
[env]
PG = "${services.postgres.url}"
[tasks.migrate]
run = "python migrate.py"
inputs = ["migrations/*.sql"]
[processes.web]
role = "daemon"
run = "sleep 100000"
"""
#: each statement by itself, as a tool without transactions
MIGRATE = """import os, pathlib, psycopg, sys
with psycopg.connect(os.environ["PG"], autocommit=True) as session:
    session.execute("CREATE TABLE IF NOT EXISTS done (name text PRIMARY KEY)")
    for path in sorted(pathlib.Path("migrations").glob("*.sql")):
        if session.execute("SELECT 1 FROM done WHERE name = %s", [path.name]).fetchone() is None:
            for statement in path.read_text().split(";\\n"):
                try:
                    session.execute(statement)
                except psycopg.Error as error:
                    sys.exit(f"{path}: {error}")
            session.execute("INSERT INTO done VALUES (%s)", [path.name])
"""
FIRST = """CREATE TABLE orders (id serial PRIMARY KEY, sku text);
INSERT INTO orders (sku) SELECT 'mug ' || g FROM generate_series(1, 300) g"""
GOOD = "ALTER TABLE orders ADD COLUMN colour text DEFAULT 'red'"
BAD = """ALTER TABLE orders ADD COLUMN size int;
DELETE FROM orders WHERE id > 10;
UPDATE orders SET nowhere = 1;
DROP TABLE orders;
SELECT 1"""


@pytest.fixture
def shop(machine: Machine) -> Iterator[Project]:
    """Up on `main`; `colours` has one migration and one package more, `sizes` a migration that fails midway."""
    project = machine.project(machine.folder / "shop")
    project.root.mkdir()
    project.write("devstack.toml", PROFILE)
    project.write("migrate.py", MIGRATE)
    project.write("migrations/1.sql", FIRST)
    git(project.root, "init", "-q", "-b", "main")
    commit(project.root, "The shop")
    git(project.root, "switch", "-q", "-c", "colours")
    project.write("migrations/2.sql", GOOD)
    project.edit("devstack.toml", '"psycopg[binary]"', '"psycopg[binary]", "idna"')
    commit(project.root, "Colours")
    project.trust()
    git(project.root, "switch", "-q", "-c", "sizes", "main")
    project.write("migrations/3.sql", BAD)
    commit(project.root, "Sizes")
    git(project.root, "switch", "-q", "main")
    project.trust()
    project.run("up")
    yield project
    project.run("down")


def _ask(project: Project, statement: str) -> Any:
    url = next(line for line in project.run("env", "--format", "dotenv", "--reveal").out.splitlines() if "PG=" in line)
    with psycopg.connect(url.partition("=")[2].strip("'\""), autocommit=True) as session:
        found = session.execute(statement)
        return found.fetchall() if found.description else None


def _switch(project: Project, *words: str) -> None:
    """To a branch whose profile may be another one."""
    git(project.root, "switch", "-q", *words)
    project.trust()


def _rows(project: Project) -> int:
    return int(_ask(project, "SELECT count(*) FROM orders")[0][0])


def _columns(project: Project) -> set[str]:
    return {name for (name,) in _ask(
        project, "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'orders'"
    )}  # fmt: skip


def _automatic(project: Project) -> dict[str, Any]:
    found = project.run("snapshot", "list", "--json").document["snapshots"]
    return {one["name"]: one for one in found if one["origin"] == "automatic"}


def _steps(project: Project) -> set[str]:
    text = project.journals()[-1].read_text()
    return {word for word in text.split('"') if ":" in word and word.partition(":")[0] in (
        "python", "migrate", "web", "data", "postgres", "supervisor", "files"
    )}  # fmt: skip


@pytest.mark.fault("G15")
def test_a_migration_that_fails_midway_is_gone_back_on_by_the_command_that_is_printed(shop: Project) -> None:
    _ask(shop, "INSERT INTO orders (sku) VALUES ('by hand')")
    assert _automatic(shop) == {}
    _switch(shop, "sizes")
    failed = shop.run("up", "--json", code=8)
    error = failed.error
    assert error["id"] == "task-failed"
    assert "UPDATE orders SET nowhere" in failed.err, "the statement is shown"
    assert error["fix"] == "devstack snapshot restore auto-main"
    assert (_rows(shop), _columns(shop)) == (10, {"id", "sku", "size"}), "half of it is done"

    told = shop.run("up", code=8).text
    assert "devstack snapshot restore auto-main" in told
    assert list(_automatic(shop)) == ["auto-main"], "a second try doesn't take what is half done for the state before"

    shop.run(*error["fix"].split()[1:], "--yes")
    assert (_rows(shop), _columns(shop)) == (301, {"id", "sku"})
    _switch(shop, "main")
    shop.run("up")
    shop.assert_up()
    assert (_rows(shop), _columns(shop)) == (301, {"id", "sku"})
    assert "nothing had to be done" in shop.run("up").text


def test_what_is_stale_is_told_and_only_that_is_done(shop: Project) -> None:
    venv = (shop.root / ".venv").resolve()
    _switch(shop, "colours")
    planned = shop.run("plan", "--json").document
    told = [line for line in planned["warnings"] if line.endswith(", since branch main")]
    assert [line.partition(":")[0] for line in told] == ["python", "web", "migrate"]
    assert shop.run("up").text.count(", since branch main") == 3
    shop.assert_up()
    assert _columns(shop) == {"id", "sku", "colour"}
    snapshot = _automatic(shop)["auto-main"]
    assert snapshot["why"] == "before migrate on colours"
    assert "before migrate on colours" in shop.run("snapshot", "list").out
    assert "since branch" not in shop.run("up").text

    # back: its environment is still there, and where the data is that fits it is told
    _switch(shop, "main")
    back = shop.run("up").text
    assert "devstack snapshot restore auto-main" in back
    assert (shop.root / ".venv").resolve() == venv
    assert _steps(shop).isdisjoint({"python:create", "python:install", "postgres:start"})
    assert "python:link" in _steps(shop)
    assert set(_automatic(shop)) == {"auto-main", "auto-colours"}
    shop.run("snapshot", "restore", "auto-main", "--yes")
    shop.assert_up()
    assert _columns(shop) == {"id", "sku"}
    assert "nothing had to be done" in shop.run("up").text

    # and there again
    _switch(shop, "colours")
    assert "devstack snapshot restore auto-colours" in shop.run("plan").text
    shop.run("up")
    assert "python:install" not in _steps(shop)
    assert _columns(shop) == {"id", "sku", "colour"}


def test_data_that_two_branches_have_worked_on_never_takes_the_place_of_that_of_one(shop: Project) -> None:
    """Back on `main` without a restore, its snapshot stays what it was, whatever happens from there."""
    _switch(shop, "colours")
    shop.run("up")
    _switch(shop, "main")
    shop.run("up")
    made = _automatic(shop)["auto-main"]["made"]
    _switch(shop, "sizes")
    error = shop.run("up", "--json", code=8).error
    assert error["fix"] == "devstack snapshot restore auto-main-mixed"
    assert _automatic(shop)["auto-main"]["made"] == made
    shop.run("snapshot", "restore", "auto-main", "--yes", code=8)
    shop.run("snapshot", "restore", "auto-main", "--yes")
    assert _columns(shop) == {"id", "sku"}


def test_a_branch_without_anything_of_its_own_has_nothing_to_do(shop: Project) -> None:
    _switch(shop, "-c", "words")
    shop.write("README", "words")
    commit(shop.root, "Words")
    assert "nothing had to be done" in shop.run("up").text
    assert _automatic(shop) == {}
    assert shop.state["branch"] == "words"


def test_automatic_snapshots_are_bounded_in_number(shop: Project) -> None:
    for number in range(7):
        _switch(shop, "-c", f"work/{number}")
        shop.write(f"migrations/3-{number}.sql", f"ALTER TABLE orders ADD COLUMN c{number} int")
        commit(shop.root, "More")
        shop.run("up")
    names = _automatic(shop)
    assert len(names) == 5
    assert all(name.startswith("auto-work-") for name in names)
