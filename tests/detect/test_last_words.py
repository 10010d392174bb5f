"""What commands of real projects said when they died."""

from __future__ import annotations

import pytest

from devstack.detect import last_words
from devstack.detect.system_needs import Machine

DEBIAN = Machine("debian")
FRAMES = """Traceback (most recent call last):
  File "manage.py", line 10, in <module>
    main()
    ^^^^^^"""
CHAINED = f"""{FRAMES}
KeyError: 'first'

The above exception was the direct cause of the following exception:

{FRAMES}
django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable
sentry is sending 1 event"""
GUNICORN = f"""[2026-01-01] [7] [ERROR] Exception in worker process
{FRAMES}
ModuleNotFoundError: No module named 'acme_storage'
[2026-01-01] [7] [INFO] Worker exiting (pid: 7)
[2026-01-01] [1] [ERROR] Reason: Worker failed to boot."""
CELERY = """Running a worker with superuser privileges when the
worker accepts messages serialized with pickle is a very bad idea!

If you really want to continue then you have to set the C_FORCE_ROOT
environment variable (but please think about this before you do)."""
REFUSED = (
    "django.core.exceptions.DisallowedHost: Invalid HTTP_HOST header: '127.0.0.1:8012'. You may need to add "
    "'127.0.0.1' to ALLOWED_HOSTS."
)
CLICK = """Usage: manage.py [OPTIONS]

Error: No such command 'serve'."""




def brings(module: str) -> str:
    return (
        f"add what brings the module {module} to packages below [python]; where it is the project's own, correct its "
        "name or cwd"
    )


@pytest.mark.parametrize(("output", "cause", "fix"), [
    (CHAINED, "django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable",
     "SECRET_KEY = { generate = 50 } below [env]"),
    (GUNICORN, "ModuleNotFoundError: No module named 'acme_storage'", brings("acme_storage")),
    (CELERY, "Celery doesn't run as root where it accepts pickle",
     'C_FORCE_ROOT = "1" below [env], or run devstack as an ordinary user'),
    (CLICK, "Error: No such command 'serve'.", ""),
    ("seeding\n  Error: indented, so somebody's own words", "", ""),
    (f"{FRAMES}\nshop.Refused", "shop.Refused", ""),
    (f"{FRAMES}\nModuleNotFoundError: No module named 'shop.config'",
     "ModuleNotFoundError: No module named 'shop.config'", ""),
    ("/venv/bin/python: No module named rq", "/venv/bin/python: No module named rq", brings("rq")),
    (f"    raise DisallowedHost(msg)\n{REFUSED}\n[01/Jan/2026] \"GET / HTTP/1.1\" 400 7", REFUSED,
     "let the project's ALLOWED_HOSTS have 127.0.0.1: by the variable that its settings read, below [env]"),
    ("KeyError: 'DB_HOST'", "KeyError: 'DB_HOST'", 'DB_HOST = "…" below [env]'),
    ('EnvError: Environment variable "SITE" not set', 'EnvError: Environment variable "SITE" not set',
     'SITE = "…" below [env]'),
    ("KeyError: 'name'", "KeyError: 'name'", ""),
    *((f"shop.Error: {said}", f"shop.Error: {said}", 'SHOP_MAIL = "…" below [env]') for said in (
        "You must change the SHOP_MAIL env variable", "Missing required environment variable: SHOP_MAIL",
        "the environment variable SHOP_MAIL is required", "SHOP_MAIL environment variable must be set.",
        "please define SHOP_MAIL env var",
    )),
    ("shop.Error: the AWS_SECRET_KEY_ID environment variable is missing",
     "shop.Error: the AWS_SECRET_KEY_ID environment variable is missing", 'AWS_SECRET_KEY_ID = "…" below [env]'),
    ("shop.Error: the environment variable is not set", "shop.Error: the environment variable is not set", ""),
    ("/bin/sh: 1: npm: not found", "/bin/sh: 1: npm: not found", "sudo apt-get install -y npm"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'notes.txt'",
     "FileNotFoundError: [Errno 2] No such file or directory: 'notes.txt'", ""),
    ("CommandError: Can't find msgfmt. Make sure you have GNU gettext tools 0.19 or newer installed.",
     "CommandError: Can't find msgfmt. Make sure you have GNU gettext tools 0.19 or newer installed.",
     "sudo apt-get install -y gettext"),
    ("ImportError: libodbc.so.2: cannot open shared object file: No such file or directory",
     "ImportError: libodbc.so.2: cannot open shared object file: No such file or directory",
     "sudo apt-get install -y unixodbc"),
    ("Booting worker", "", ""), ("", "", ""),
])
def test_the_cause_is_told_in_the_commands_own_words(output: str, cause: str, fix: str) -> None:
    assert last_words.cause(output.splitlines()) == cause
    assert last_words.fix(cause, DEBIAN) == fix


def test_a_cause_without_end_is_cut() -> None:
    assert len(last_words.cause([f"ValueError: {'x' * 5000}"])) < 400


@pytest.mark.parametrize("module", ["pkg_resources", "pkg_resources.extern", "distutils"])
def test_a_fix_is_known_for_what_setuptools_brought(module: str) -> None:
    assert last_words.fix(f"ModuleNotFoundError: No module named '{module}'", DEBIAN) == (
        'packages = ["setuptools<81"] below [python]'
    )
