"""Scripts of a project that a container starts with: what they run becomes tasks and a process, or is told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from devstack import services
from devstack.detect.compose import commands, shell
from devstack.detect.compose.convert import Imported, convert
from devstack.detect.compose.scripts import Followed, follow
from devstack.profile.load import load
from devstack.profile.model import Profile
from devstack.profile.source import SourceFile
from devstack.stack.sources import fields


def followed(text: str, *arguments: str, **environ: str) -> Followed:
    found = follow(text, arguments, environ, lambda _: None)
    assert found is not None
    return found


def ran(text: str, *arguments: str, **environ: str) -> list[str]:
    return list(followed(text, *arguments, **environ).commands)


@pytest.mark.parametrize(("text", "commands"), [
    ("#!/bin/sh\nset -e\n# words\nalembic upgrade head\nexec uvicorn a:b\n", ["alembic upgrade head", "uvicorn a:b"]),
    ("celery \\\n    -A a \\\n    worker", ["celery -A a worker"]),
    ("until nc -z db 5432; do\n  sleep 1\ndone; python a.py", ["python a.py"]),
    ("ready() {\npython << END\nimport a\nEND\n}\nuntil ready; do\n >&2 echo no\n sleep 1\ndone\npython a.py",
     ["python a.py"]),
    ("function wait_all { wait_one db; }\nwait_one() { nc -z $1 1; }\nwait_all\npython a.py", ["python a.py"]),
    ("python manage.py wait_for_db && python manage.py migrate && exec gunicorn a",
     ["python manage.py migrate", "gunicorn a"]),
    ("rm -f ./celerybeat.pid\ncelery -A a beat", ["celery -A a beat"]),
    ("case $KIND in\n web) gunicorn a ;;\n work*|job) celery -A a worker ;;\n *) exit 1 ;;\nesac",
     ["celery -A a worker"]),
    ("if [ \"$KIND\" = worker ] && [ -n \"$KIND\" ]; then\n python a.py\nelse\n python b.py\nfi", ["python a.py"]),
    ("[ -z \"$NONE\" ] && python a.py\n[ -n \"$NONE\" ] && python b.py\ntest $KIND != web || python c.py",
     ["python a.py"]),
    ("gunicorn -w \"$WORKERS\" --bind 0.0.0.0:\"${PORT:-8000}\" a", ["gunicorn -w 2 --bind 0.0.0.0:8000 a"]),
    ("celery --broker=\"${BROKER_URL}\" -A a worker", ["celery --broker=\"${BROKER_URL}\" -A a worker"]),
    ("python manage.py createsuperuser --noinput || true\npython a.py",
     ["python manage.py createsuperuser --noinput || true", "python a.py"]),
    ("X=$(date)\nY=\"a $X\"\nZ=1\npython manage.py stamp \"$Y\"\npython a.py",
     ["X=$(date)\nY=\"a $X\"\npython manage.py stamp \"$Y\"", "python a.py"]),
    ("pip install -r requirements.txt\npoetry install\npython a.py", ["python a.py"]),
    ("echo \"import x\" | python manage.py shell\npython a.py",
     ["echo \"import x\" | python manage.py shell", "python a.py"]),
    ("python a.py\nexit 0\npython b.py", ["python a.py"]),
    ("ARGS=(--a \"$KIND x\"\n  --b)\nARGS+=(--c=$WORKERS)\nexec celery \"${ARGS[@]}\" worker \"${NONE[@]}\"",
     ["celery --a 'worker x' --b --c=2 worker"]),
    ("ARGS=()\npython a.py ${ARGS[@]+\"${ARGS[@]}\"}", ["python a.py"]),
    ("A=x\nA+=y\npython $A.py", ["python xy.py"]),
    ("run=$(which celery)\n[[ \"$NONE\" ]] && run=\"coverage run\"\nexec $run -n ${2:-${NAME:=\"${KIND}\"@%n}} worker",
     ["celery -n worker@%n worker"]),
    ("MODE=fast python a.py", ["MODE=fast python a.py"]),
])  # fmt: skip
def test_what_a_script_runs(text: str, commands: list[str]) -> None:
    assert ran(text, KIND="worker", WORKERS="2", BROKER_URL="redis://r:6379/0") == commands


def test_a_script_runs_its_arguments() -> None:
    text = "#!/bin/bash\npython manage.py migrate $1\nshift\nexec \"$@\""
    found = followed(text, "--plan", "gunicorn", "a b")
    assert (found.commands, found.rest) == (("python manage.py migrate --plan",), ("gunicorn", "a b"))
    assert followed("exec gosu app \"$@\"", "python", "a.py").rest == ("python", "a.py")
    assert ran("exec python manage.py \"$@\"", "run", "x") == ["python manage.py run x"]


def test_what_a_script_exports_is_filled_in() -> None:
    text = "export URL=\"postgres://${USER_}:${PW}@${HOST:-db}:5432/${DB}\"\nexport EMPTY=\nHOST=other\nexec \"$@\""
    found = followed(text, "python", "a.py", USER_="ann", PW="pw", DB="shop")
    assert found.env == {"URL": "postgres://ann:pw@db:5432/shop", "EMPTY": ""}


@pytest.mark.parametrize(("text", "told"), [
    ("if [ -f .seeded ]; then\n python seed.py\nfi\npython a.py", "python seed.py"),
    ("for app in a b; do python manage.py migrate $app; done\npython a.py", "python manage.py migrate $app"),
    ("[ -d x ] || python make.py\npython a.py", "python make.py"),
    ("python manage.py flush --no-input\npython a.py", "python manage.py flush --no-input"),
    ("pip install watchdog\npython a.py", "pip install watchdog"),
    ("if [ -f key.json ]; then export KEY=key.json; fi\npython a.py", "export KEY=key.json"),
])
def test_what_is_left_out_of_a_script_is_told(text: str, told: str) -> None:
    found = followed(text)
    assert found.commands == ("python a.py",)
    assert [one for one, why in found.skipped if why] == [told]


@pytest.mark.parametrize("text", [
    "celery -A a worker &\npython a.py",
    "if true; then python a.py",
    "python a.py; fi",
    "ARGS=(--a $(date))\npython a.py \"${ARGS[@]}\"",
    # whether it is longer can't be told
    "ARGS=(--a)\nif grep x y; then ARGS+=(--b); fi\npython a.py \"${ARGS[@]}\"",
    "python a.py\ncd other\npython b.py",
    "f() { f; }\nf",
    "cat <<EOF\nnever ends",
    "echo $(",
])
def test_a_script_that_cannot_be_told_is_left_to_the_container(text: str) -> None:
    assert follow(text, (), {}, lambda _: None) is None


def test_another_script_is_read_where_it_is_called() -> None:
    files = {"/wait.sh": "wait_for_db() { until nc -z db 1; do sleep 1; done; }", "/work.sh": "celery -A a worker"}
    text = ". /wait.sh\nwait_for_db\nexec /work.sh"
    found = commands.parse(("/start.sh",), {}, {**files, "/start.sh": text}.get)
    assert (found.before, found.main, found.is_script) == ((), "celery -A a worker", True)


@pytest.mark.parametrize(("text", "tree"), [
    ("a 'b;c' \"d;$(e;f)\" # g", (shell.Simple("a 'b;c' \"d;$(e;f)\""),)),
    ("a &&\n  b", (shell.Simple("a &&   b"),)),
    ("{ a; b; }", (shell.Simple("a"), shell.Simple("b"))),
    ("if a; then b; elif c\nthen d; else e; fi", (shell.If((("a", (shell.Simple("b"),)), ("c", (shell.Simple("d"),))),
                                                         (shell.Simple("e"),)),)),
    ("cat <<-'E' > x\n\ta;b\n\tE\nc", (shell.Simple("cat <<-'E' > x\n\ta;b\n\tE"), shell.Simple("c"))),
])  # fmt: skip
def test_shell_texts_are_read(text: str, tree: shell.Body) -> None:
    assert tuple(node for node in shell.parse(text) if node != shell.Simple("")) == tree


# --- whole projects --------------------------------------------------------------------------------------------------


def imported(files: Mapping[str, str]) -> Imported:
    return convert(("compose.yaml",), files.get, {}, "shop")


def profile(files: Mapping[str, str]) -> Profile:
    file = SourceFile("devstack.toml", imported(files).text, "project")
    return load([file], services.declarations(), fields=fields()).profile


#: scripts at the image's root, an entrypoint that composes a URL, a database of its own Dockerfile
ROOT = {
    "compose.yaml": """
services:
  django: &django
    build: {context: ., dockerfile: ./docker/Dockerfile}
    command: /start
    env_file: .env.pg
    volumes: [".:/app:z"]
    ports: ["8000:8000"]
    depends_on: [postgres, redis]
  worker: {<<: *django, command: /start-worker, ports: []}
  flower: {<<: *django, command: /start-flower, ports: ["5557:5555"]}
  postgres: {build: {context: ., dockerfile: ./docker/pg}, env_file: .env.pg}
  redis: {image: "docker.io/redis:7"}
""",
    ".env.pg": "POSTGRES_HOST=postgres\nPOSTGRES_PORT=5432\nPOSTGRES_DB=shop\nPOSTGRES_USER=a\nPOSTGRES_PASSWORD=b\n"
               "BROKER_URL=redis://redis:6379/0\n",
    "docker/Dockerfile": """FROM python:3.12
WORKDIR /app
COPY --chown=a:a ./docker/entry /entry
COPY ./docker/start /start
COPY ./docker/worker/start /start-worker
COPY ./docker/flower/start /start-flower
COPY . .
ENTRYPOINT ["/entry"]
""",
    "docker/pg": "FROM docker.io/postgres:16\nCOPY ./maintenance /usr/local/bin/maintenance\n",
    "docker/entry": "#!/bin/bash\nexport DATABASE_URL=\"postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@${POSTGRES_HOST}"
                    ":${POSTGRES_PORT}/${POSTGRES_DB}\"\nwait-for-it \"${POSTGRES_HOST}:5432\" -t 30\nexec \"$@\"\n",
    "docker/start": "#!/bin/bash\npython manage.py migrate\nexec python manage.py runserver 0.0.0.0:8000\n",
    "docker/worker/start": "#!/bin/bash\nexec watchfiles --filter python 'celery -A shop worker -l INFO'\n",
    "docker/flower/start": "#!/bin/bash\nexec celery -A shop -b \"${BROKER_URL}\" flower\n",
}  # fmt: skip


def test_scripts_that_an_image_is_given_are_read_in_the_project() -> None:
    found = profile(ROOT)
    assert found.python.version == "3.12"
    assert {name: task.run for name, task in found.tasks.items()} == {"migrate": "python manage.py migrate"}
    runs = {name: process.run for name, process in found.processes.items()}
    assert runs == {
        "django": "python manage.py runserver 127.0.0.1:${port}",
        "worker": "watchfiles --filter python 'celery -A shop worker -l INFO'",
        "flower": "celery -A shop -b \"$${BROKER_URL}\" flower",
    }
    assert [process.role for process in found.processes.values()] == ["web", "worker", "web"]
    assert found.env["DATABASE_URL"] == "${services.postgres.url}"
    # a command that doesn't say where it listens is told by variables
    assert found.processes["flower"].env == {
        "FLOWER_PORT": "${processes.flower.port}", "FLOWER_ADDRESS": "127.0.0.1",
    }  # fmt: skip


def test_a_kind_with_a_dockerfile_of_its_own_is_one_and_what_it_adds_is_told() -> None:
    made = profile(ROOT).services["postgres"]
    assert (made.kind, made.version, made.model_dump()["databases"]) == (None, "16", ("shop",))
    (told,) = [one for one in imported(ROOT).left_out if one.key == "services.postgres.build"]
    assert "COPY ./maintenance" in told.why


def test_scripts_in_a_mounted_folder_and_tasks_that_others_wait_for() -> None:
    files = {
        "compose.yaml": """
services:
  api: &api
    build: {context: ./api}
    command: ./bin/api.sh
    volumes: ["./api:/code"]
    depends_on: [db]
    ports: ["8000:8000"]
  migrator: {<<: *api, command: ./bin/migrator.sh --settings=a, ports: []}
  db: {image: "postgres:16"}
""",
        "api/Dockerfile": "FROM python:3.12\nWORKDIR /code\nCOPY . .\n",
        "api/bin/api.sh": "#!/bin/bash\npython manage.py wait_for_migrations\npython manage.py seed\n"
                          "exec gunicorn a:b --bind 0.0.0.0:${PORT:-8000}\n",
        "api/bin/migrator.sh": "#!/bin/sh\npython manage.py migrate $1\n",
    }  # fmt: skip
    found = profile(files)
    # what the entrypoint waited for comes first
    assert [(task.run, task.cwd) for task in found.tasks.values()] == [
        ("python manage.py migrate --settings=a", "api"), ("python manage.py seed", "api"),
    ]  # fmt: skip
    assert found.processes["api"].run == "gunicorn a:b --bind 127.0.0.1:${port}"


def test_conditions_that_compare_the_file_s_own_values_are_decided() -> None:
    files = {
        "compose.yaml": """
services:
  web:
    build: .
    entrypoint: ./entry.sh
    command: './init.sh ./manage.py runserver 0.0.0.0:8000'
    environment: ["DATABASE_URL=${DATABASE_URL:-psql://postgres:pw@db:5432/shop}"]
    volumes: [".:/app"]
    ports: ["8000:8000"]
  db: {image: "postgres:16", environment: {POSTGRES_PASSWORD: pw, POSTGRES_DB: shop}}
""",
        "Dockerfile": "FROM python:3.12\nWORKDIR /app\n",
        "entry.sh": "#!/bin/sh\nif [ -f /key ]; then\n  export KEY=/key\nfi\nexec \"$@\"\n",
        "init.sh": "#!/bin/sh\nif [ \"$DATABASE_URL\" == \"psql://postgres:pw@db:5432/shop\" ] ||\n"
                   "   [ \"$DATABASE_URL\" == \"other\" ]; then\n  ./manage.py migrate\nfi\nexec \"$@\"\n",
        "manage.py": "#!/usr/bin/env python\nimport django\n",
    }  # fmt: skip
    found = profile(files)
    assert [task.run for task in found.tasks.values()] == ["python manage.py migrate"]
    assert found.processes["web"].run == "python manage.py runserver 127.0.0.1:${port}"
    told = [one for one in imported(files).left_out if one.key == "services.web.command"]
    assert ["export KEY=/key" in one.why for one in told] == [True]


def test_a_program_that_is_no_script_of_a_shell_isn_t_read_as_one() -> None:
    files = {
        "compose.yaml": "services: {web: {build: ., command: ./run, volumes: ['.:/app']}}",
        "Dockerfile": "FROM python:3.12\nWORKDIR /app\n", "run": "#!/usr/bin/env node\npython a.py\n",
    }  # fmt: skip
    assert profile(files).processes["web"].is_contained


def test_a_container_waits_for_the_tasks_of_what_it_depends_on_alone() -> None:
    files = {
        "compose.yaml": """
services:
  api: {build: ., command: "sh -c 'python manage.py migrate && gunicorn a:b'", depends_on: [db, store]}
  page: {image: "node:22", command: npm start, volumes: [".:/src"], depends_on: [api]}
  store:
    image: minio/minio
    entrypoint: sh -c "minio server & mc alias set x http://localhost:9000 access store-secret; wait"
    env_file: store.env
    environment: {MINIO_ROOT_PASSWORD: store-secret}
  db: {image: "postgres:16", env_file: store.env}
""",
        "Dockerfile": "FROM python:3.12\n", "store.env": "POSTGRES_USER=ann\nPOSTGRES_PASSWORD=other\n",
    }  # fmt: skip
    found = profile(files).processes
    assert {name: process.needs for name, process in found.items()} == {
        "api": ("db", "store", "migrate"), "page": ("api", "migrate"), "store": (),
    }  # fmt: skip
    # what is in its env file is of others: it isn't why it would need them
    assert (found["store"].env, found["store"].shell) == ({}, True)
    assert found["store"].run.startswith("minio server & mc alias set x http://localhost:9000 access $MINIO_ROOT_PASS")


def test_a_task_of_a_script_has_the_env_files_and_the_environment_of_its_process() -> None:
    text = """services:
  api: {build: ., command: ./start.sh, env_file: [api.env, ../out.env], environment: {MODE: api, DB_HOST: db}}
  worker: {build: ., command: celery -A shop worker, environment: {MODE: worker, DB_HOST: db}}
  db: {image: 'postgres:16'}
"""
    script = "#!/bin/sh\npython manage.py migrate\npython manage.py prepare\nexec gunicorn shop.wsgi\n"
    made = "FROM python:3.12\nWORKDIR /app\nCOPY . .\n"
    files = {"compose.yaml": text, "Dockerfile": made, "start.sh": script, "api.env": "SECRET=x\n"}
    found, tasks = imported(files), profile(files).tasks
    assert list(tasks) == ["migrate", "prepare"]
    for task in tasks.values():
        assert [file.path for file in task.env_file] == ["api.env"]
        assert task.env["MODE"] == "api"
    assert len([one for one in found.left_out if "out.env" in one.why]) == 1
