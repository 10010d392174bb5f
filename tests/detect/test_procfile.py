"""What a Procfile runs beside the web process."""

from __future__ import annotations

import pytest

from devstack.detect.procfile import names, processes

TEXT = """# comment: none
web: flask db upgrade; gunicorn shop:app
release: python manage.py migrate
worker: rq worker mail default
clock: celery -A shop beat -l info
Mailer: ./bin/mailer --from "$FROM" ${LEVEL}
admin: gunicorn admin --bind 0.0.0.0:$PORT
empty:
"""


def test_entries_by_name() -> None:
    assert names(TEXT) == ["web", "release", "worker", "clock", "Mailer", "admin"]


@pytest.mark.parametrize(("roles", "expected"), [
    ({}, {"worker": {"role": "worker", "run": "rq worker mail default"},
          "clock": {"role": "beat", "run": "celery -A shop beat -l info"}}),
    ({"web": "web", "worker": "worker", "beat": "beat", "other": "daemon"},
     {"worker": {"run": "rq worker mail default"}, "beat": {"run": "celery -A shop beat -l info"}}),
])  # fmt: skip
def test_each_is_the_profiles_own_process_or_a_further_one(
    roles: dict[str, str], expected: dict[str, dict[str, str]]
) -> None:
    mailer = {"role": "daemon", "run": './bin/mailer --from "$FROM" $${LEVEL}', "shell": True}
    assert processes(TEXT, roles) == {**expected, "mailer": mailer}


def test_two_workers_are_two() -> None:
    made = processes("mail: rq worker mail\nslow: rq worker slow\n", {"worker": "worker"})
    runs = {name: table["run"] for name, table in made.items()}
    assert runs == {"worker": "rq worker mail", "slow": "rq worker slow"}
    assert processes("web: gunicorn shop:app\n", {}) == {}
