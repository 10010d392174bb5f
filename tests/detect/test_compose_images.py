"""What Dockerfiles and commands of real projects say, beside the plain cases: where things are, and what they are."""

from __future__ import annotations

import pytest

from devstack import services
from devstack.detect.compose.convert import Imported, convert
from devstack.detect.compose.dockerfile import stage
from devstack.profile.load import load
from devstack.profile.model import Profile
from devstack.profile.source import SourceFile
from devstack.stack.sources import fields


def imported(compose: str, **files: str) -> Imported:
    """files: by name, `__` for a dot, `_` for a slash."""
    named = {name.replace("__", ".").replace("_", "/"): text for name, text in files.items()}
    return convert(("compose.yaml",), {"compose.yaml": compose, **named}.get, {}, "shop")


def profile_of(found: Imported) -> Profile:
    file = SourceFile("devstack.toml", found.text, "project")
    return load([file], services.declarations(), fields=fields()).profile


WEB = "services: {web: {build: ., ports: ['8000:8000']}}"


LOOP = """ARG wanted="main,web,dev"
RUN --mount=type=cache,target=/root/.cache <<EOF
flags=""
for one in $(echo "$wanted" | tr ',' ' '); do
  flags="$flags --group $one"
done
uv sync $flags
EOF
CMD gunicorn web
"""
IN_A_FOLDER = """COPY ./backend/app /app/backend/app
COPY ./backend/pyproject.toml /app/backend/
WORKDIR /app/backend/
CMD fastapi run"""


@pytest.mark.parametrize(("run", "groups"), [
    ("RUN pip install --group main --group dev", ("main", "dev")),
    ("RUN uv sync --frozen <<EOF\nEOF", ()),
    ("RUN poetry install --only main,web", ("main", "web")),
    ("ARG groups=dev\nRUN uv sync --group $groups", ("dev",)),
    # options that a loop puts together, in a text of several lines
    (LOOP, ("echo", "main", "web", "dev", "tr")),
])  # fmt: skip
def test_groups_however_an_image_names_them(run: str, groups: tuple[str, ...]) -> None:
    assert stage(f"FROM python:3.12\n{run}\n").groups == groups


def test_what_stands_below_an_instruction_is_none() -> None:
    made = stage("FROM python:3.12\nRUN <<A <<B\nCMD wrong\nA\nWORKDIR /wrong\nB\nWORKDIR /app\nCMD gunicorn web\n")
    assert (made.folder, made.command) == ("/app", ("gunicorn", "web"))


@pytest.mark.parametrize(("dockerfile", "run", "folder"), [
    ("WORKDIR /app\nCOPY . /app\nCMD /app/manage.py runserver 0.0.0.0:8000", "manage.py runserver", "."),
    ("WORKDIR /app\nCOPY . .\nCMD python /app/tools/serve.py --statedir=/app/run", "./tools/serve.py --statedir=./run",
     "."),
    # nothing of the project's
    ("WORKDIR /app\nCOPY . .\nCMD gunicorn web --pid /run/web.pid -c /etc/web.py", "--pid /run/web.pid -c /etc/web.py",
     "."),
    ("COPY . /app\nWORKDIR /app/src\nCMD gunicorn web", "gunicorn web", "src"),
    ("WORKDIR /app\nCOPY config/ /app\nCOPY . /app\nCMD gunicorn web", "gunicorn web", "."),
    (IN_A_FOLDER, "fastapi run", "backend"),
    # the files beside it say where the folder is, not the one that comes from elsewhere
    ("COPY docker/start.sh manage.py setup.py /app/\nCOPY shop /app/shop\nWORKDIR /app\nCMD gunicorn shop",
     "gunicorn shop", "."),
    ("ARG APP=/srv\nENV HERE=${APP}/code\nWORKDIR $HERE\nCOPY server ${HERE}/\nCMD gunicorn web", "gunicorn web",
     "server"),
    ("COPY server /srv\nWORKDIR /srv\nCMD gunicorn web", "gunicorn web", "server"),
])  # fmt: skip
def test_paths_of_the_image_are_paths_of_the_project(dockerfile: str, run: str, folder: str) -> None:
    files = {"Dockerfile": f"FROM python:3.12\n{dockerfile}\n", "manage__py": "django", "setup__py": "",
             "docker_start__sh": "", "backend_pyproject__toml": ""}  # fmt: skip
    web = profile_of(imported(WEB, **files)).processes["web"]
    assert web.image is None
    assert run in (web.run or "")
    assert web.cwd == folder


def test_a_mounted_folder_is_where_a_process_is() -> None:
    compose = "services: {web: {build: ., command: gunicorn web, working_dir: /code/src, volumes: ['./api:/code']}}"
    web = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /code\n")).processes["web"]
    assert web.cwd == "api/src"


BACKUP = """
services:
  db: {image: "postgres:16", entrypoint: /tuned.sh, environment: {POSTGRES_PASSWORD: x}}
  cache: {image: "redis:7", command: sh -c "sleep 1; exec redis-server --appendonly yes"}
  web: {build: ., command: gunicorn web, ports: ["8000:8000"], environment: {DB: "postgres://postgres:x@db/postgres"}}
  backup: {BACKUP, environment: {PGHOST: db}, depends_on: [db]}
"""


@pytest.mark.parametrize("backup", [
    "build: backup", 'image: "postgres:16", command: sh -c "pg_dump -U postgres > /dump"',
])  # fmt: skip
def test_an_image_of_a_server_that_runs_something_else_is_no_server(backup: str) -> None:
    dockerfile = "FROM postgres:16\nRUN apt-get install cron\nENTRYPOINT [\"/entrypoint.sh\"]\nCMD [\"cron\", \"-f\"]\n"
    found = imported(
        BACKUP.replace("BACKUP", backup), Dockerfile="FROM python:3.12\nCOPY . /app\n", backup_Dockerfile=dockerfile
    )
    made = profile_of(found)
    assert sorted(made.services) == ["cache", "db"]
    assert made.processes["backup"].is_contained
    assert made.processes["backup"].env["PGHOST"] == "${services.db.host}"


def test_who_others_wait_for_is_a_server_however_it_is_started() -> None:
    compose = BACKUP.replace("BACKUP", "image: 'postgres:16', command: /start.sh").replace(
        "depends_on: [db]", "depends_on: [db]}\n  late: {image: 'redis:7', command: /own.sh, depends_on: [backup]"
    )
    made = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\n"))
    assert sorted(made.services) == ["backup", "cache", "db"]


def test_containers_that_nothing_of_this_machine_waits_for_are_optional() -> None:
    compose = """
services:
  web: {build: ., command: gunicorn web, depends_on: [front], environment: {SITE: "http://proxy:80"}}
  front: {build: front, depends_on: [base]}
  base: {build: front, depends_on: [web]}
  proxy: {image: "nginx:1", depends_on: [web], ports: ["80:80"]}
"""
    files = {"Dockerfile": "FROM python:3.12\nCOPY . /app\n", "front_Dockerfile": "FROM node:22\nCMD npm start\n"}
    found = imported(compose.replace("depends_on: [web]}", "}", 1), **files)
    made = profile_of(found).processes
    assert {name: one.optional for name, one in made.items()} == {
        "web": False, "front": False, "base": False, "proxy": True,
    }  # fmt: skip
    assert "# Nothing here needs it" in found.text
    # where everything is a container, nothing is less than the rest
    alone = imported("services: {front: {build: front}, proxy: {image: 'nginx:1', depends_on: [front]}}", **files)
    assert not any(one.optional for one in profile_of(alone).processes.values())


def test_what_a_script_says_when_a_command_fails_is_left_out() -> None:
    script = (
        "#!/bin/sh\ndie() {\n echo \"$*\"\n exit 1\n}\nother() {\n echo so\n}\npython manage.py migrate || die 'no'\n"
        "python manage.py setup_all || exit 3\npython manage.py load_all || other\nexec \"$@\"\n"
    )
    dockerfile = "FROM python:3.12\nWORKDIR /app\nCOPY . .\nENTRYPOINT [\"/app/start.sh\"]\nCMD gunicorn web\n"
    made = profile_of(imported(WEB, Dockerfile=dockerfile, start__sh=script, manage__py="django"))
    assert [task.run for task in made.tasks.values()] == [
        "python manage.py migrate", "python manage.py setup_all", "python manage.py load_all || other",
    ]  # fmt: skip


def test_what_a_script_does_beside_the_project_is_left_out_and_told() -> None:
    """Folders of the container, a message in the background; a variable before a command is no assignment."""
    script = (
        "#!/bin/bash\nshared=/nginx\nrm -rf $shared/*\npython manage.py tell_all &\n"
        "TIMEOUT=0 python manage.py migrate\n"
        "cp -r static/ $shared/\ncp settings.example settings.py\n"
        "exec gunicorn -b unix:$shared/web.sock -b 0.0.0.0:8000 web\n"
    )
    compose = WEB.replace("build: .", "build: ., command: ./run.sh")
    found = imported(compose, Dockerfile="FROM python:3.12\nWORKDIR /app\nCOPY . .\n", run__sh=script)
    made = profile_of(found)
    assert [task.run for task in made.tasks.values()] == [
        "TIMEOUT=0 python manage.py migrate", "cp settings.example settings.py",
    ]  # fmt: skip
    assert made.processes["web"].run == "gunicorn -b 127.0.0.1:${port} web"
    assert [one.why for one in found.left_out] == [
        "`python manage.py tell_all` isn't done: it goes on in the background",
        "`rm -rf /nginx/*` isn't done: it is about a folder of the container",
        "`cp -r static/ /nginx/` isn't done: it is about a folder of the container",
    ]


def test_arguments_before_the_first_stage_are_none() -> None:
    text = "ARG V=3.12\nFROM node:${V} AS front\nARG V=3.11\nFROM python:$V\nWORKDIR /app\nCMD gunicorn web\n"
    made = stage(text)
    assert (made.base, made.python, made.folder, made.command) == ("python:3.11", "3.11", "/app", ("gunicorn", "web"))
    assert stage(text, "front").base == "node:3.12"


def test_a_check_is_seen_from_where_the_process_is() -> None:
    compose = WEB.replace("build: .", "build: ., healthcheck: {test: [CMD, python, /app/bin/alive.py]}")
    web = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\nWORKDIR /app\nCMD gunicorn web\n"))
    assert getattr(web.processes["web"].ready, "command", "") == "python ./bin/alive.py"


@pytest.mark.parametrize(("command", "sign"), [
    ("uwsgi --http :8000 --module web", "INT"), ("uwsgi --http :8000 --die-on-term --module web", "TERM"),
    ("gunicorn web", "TERM"),
])
def test_uwsgi_is_ended_by_a_signal_that_ends_it(command: str, sign: str) -> None:
    compose = WEB.replace("build: .", f"build: ., command: '{command}'")
    web = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\nWORKDIR /app\n")).processes["web"]
    assert web.stop.signal == sign


def test_several_arguments_of_one_line() -> None:
    made = stage("FROM python:3.12\nARG A B=1 C\nENV D=$A E=${B}x\nWORKDIR /app/$D\nCMD gunicorn web\n")
    assert (made.args, made.env, made.folder) == ({"B": "1"}, {"E": "1x"}, "/app/$D")


def test_servers_that_no_kind_stands_for_listen_where_they_usually_do() -> None:
    compose = """
services:
  web: {build: ., command: gunicorn web, environment: {DB_HOST: db, DB_PORT: 3306, MAIL_HOST: mail}}
  db: {image: "docker.io/library/mysql:9", environment: {MYSQL_DATABASE: shop}}
  mail: {image: axllent/mailpit}
  owner: {image: busybox, command: /bin/chown -R 1000 /media, volumes: ["media:/media"]}
volumes: {media: }
"""
    found = imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\n")
    made = profile_of(found)
    assert made.env["DB_PORT"] == "${services.db.port}"
    assert sorted(made.services) == ["db", "mail"]
    assert [one.why for one in found.left_out if "chown" in one.why] == [
        "`/bin/chown -R 1000 /media` isn't done: it is about volumes"
    ]


def test_volumes_of_several_processes_are_told_once() -> None:
    compose = """
services:
  web: {build: ., command: gunicorn web, volumes: ["media:/app/media", "static:/app/static"]}
  worker: {build: ., command: celery -A web worker, volumes: ["media:/app/media"]}
volumes: {media: , static: }
"""
    found = imported(compose, Dockerfile="FROM python:3.12\nWORKDIR /app\nCOPY . .\n")
    told = [one.why for one in found.left_out if one.key.endswith("volumes")]
    assert told == ["/app/media, /app/static are paths of this machine now, no volumes"]


def test_a_port_beside_the_host_of_any_container_is_its_port_here() -> None:
    compose = """
services:
  web: {build: ., command: gunicorn web, environment: {MAIL_SERVER: mail, MAIL_PORT: 1025, MAIL_USER: me}}
  mail: {image: axllent/mailpit, ports: ["8025:8025", "1025:1025"]}
"""
    env = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\n")).env
    assert env["MAIL_PORT"] == "${services.mail.ports.p1025}"
    assert env["MAIL_SERVER"] == "${services.mail.host}"
    assert env["MAIL_USER"] == "me"


def test_the_port_of_a_debugger_is_not_where_a_server_is_asked() -> None:
    compose = """
services:
  web:
    build: .
    command: python -m debugpy --listen 0.0.0.0:5678 -m uvicorn web:app --host 0.0.0.0 --port 5000
    ports: ["5678:5678"]
    healthcheck: {test: curl -f http://localhost:5000/health}
"""
    web = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\nWORKDIR /app\n")).processes["web"]
    assert web.run == "python -m uvicorn web:app --host 127.0.0.1 --port ${port}"
    assert web.port is None
    assert getattr(web.ready, "http", "") == "/health"


def test_what_several_scripts_leave_out_is_told_once() -> None:
    compose = """
services:
  web: {build: ., command: ./run.sh gunicorn web}
  worker: {build: ., command: ./run.sh celery -A web worker}
"""
    script = "#!/bin/sh\nif [ -f key ]; then\n python load.py\nfi\nexec \"$@\"\n"
    found = imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\nWORKDIR /app\n", run__sh=script)
    assert [one.key for one in found.left_out if "load.py" in one.why] == ["services.web.command"]


@pytest.mark.parametrize(("dockerfile", "optional"), [
    ("FROM nginx:1\nCOPY nginx.conf /etc/nginx/\n", True),
    ("FROM node:22 AS made\nRUN npm run build\nFROM nginx:1\nCOPY --from=made /dist /usr/share/nginx/html\n", False),
    ("FROM node:22\nCMD npm start\n", False),
])
def test_a_proxy_is_optional_and_what_the_project_builds_is_not(dockerfile: str, optional: bool) -> None:
    compose = "services: {web: {build: ., command: gunicorn web}, front: {build: front, ports: ['80:80']}}"
    files = {"Dockerfile": "FROM python:3.12\nCOPY . /app\n", "front_Dockerfile": dockerfile}
    assert profile_of(imported(compose, **files)).processes["front"].optional is optional


def test_flasks_own_server_is_told_its_port_by_an_option() -> None:
    compose = WEB.replace("build: .", "build: ., command: ./manage.py runserver --debugger -h 0.0.0.0")
    web = profile_of(imported(compose, Dockerfile="FROM python:3.12\nCOPY . /app\nWORKDIR /app\n")).processes["web"]
    assert web.run == "python manage.py runserver --debugger -h 127.0.0.1 --port ${port}"


@pytest.mark.parametrize("more", ["", ", volumes: ['./words:/usr/share/words']"])
def test_variables_that_no_shell_takes_are_what_containers_read(more: str) -> None:
    search = f"{{image: elasticsearch:9.2.5, environment: ['discovery.type=single-node', 'a b=1']{more}}}"
    compose = f"services: {{search: {search}, web: {{build: ., environment: {{a.b: '1'}}}}}}"
    found = imported(compose, Dockerfile="FROM python:3.12\nCMD gunicorn web\n")
    profile = profile_of(found)
    made = profile.processes["search"].env if more else profile.services["search"].model_dump()["environment"]
    assert made == {"discovery.type": "single-node"}
    assert profile.processes["web"].env == {}
    left_out = {one.key for one in found.left_out if one.instead == "another name"}
    assert left_out == {'services.search.environment."a b"', 'services.web.environment."a.b"'}


def test_an_env_file_may_be_copied_from_a_dist() -> None:
    files = {"Dockerfile": "FROM python:3.12\nCMD gunicorn web\n", "__env-dist": "A=1\n"}
    found = imported("services: {web: {build: ., env_file: .env}}", **files)
    assert [one.instead.partition(",")[0] for one in found.left_out] == ["cp .env-dist .env"]
