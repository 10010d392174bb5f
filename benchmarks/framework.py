"""The same rows as a Django project keeps them, and what its people type to begin anew: a history of migrations, then
rows that its models make."""

from __future__ import annotations

from pathlib import Path

#: of its own; Django's applications bring theirs
MIGRATIONS = 60
PACKAGE = "django==5.2.*"
_FILES = {
    "manage.py": """import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "settings.py": """import os
from urllib.parse import unquote, urlsplit
found = urlsplit(os.environ["PG"])
SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "of a benchmark", True, "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "stock"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": found.path[1:], "USER": found.username,
    "PASSWORD": unquote(found.password), "HOST": found.hostname, "PORT": found.port,
}}
""",
    "stock/__init__.py": "",
    "stock/migrations/__init__.py": "",
    "stock/models.py": """from django.db import models
for number in range(20):
    meta = type("Meta", (), {"indexes": [models.Index(fields=["a"], name=f"t{number}_a")]})
    fields = {"a": models.TextField(), "b": models.TextField(), "Meta": meta, "__module__": __name__}
    globals()[f"T{number}"] = type(f"T{number}", (models.Model,), fields)
""",
    "stock/management/__init__.py": "",
    "stock/management/commands/__init__.py": "",
    "stock/management/commands/load.py": """import hashlib
from django.apps import apps
from django.core.management.base import BaseCommand
import data
def text(number):
    return hashlib.md5(str(number).encode()).hexdigest()
class Command(BaseCommand):
    def handle(self, **options):
        for model in apps.get_app_config("stock").get_models():
            rows = [model(a=text(g), b=text(g * 7) * 6) for g in range(1, 14001)]
            model.objects.bulk_create(rows, batch_size=2000)
        data.others()
""",
    "stock/migrations/0001_initial.py": """from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(f"T{number}", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)),
            ("a", models.TextField()), ("b", models.TextField()),
        ], options={"indexes": [models.Index(fields=["a"], name=f"t{number}_a")]})
        for number in range(20)
    ]
""",
}
_LATER = """from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("stock", "{before}")]
    operations = [migrations.AddField("T{table}", "c{number}", models.TextField(null=True))]
"""


def write(project: Path) -> None:
    """Add the files to a project that has the rows already."""
    files, before = dict(_FILES), "0001_initial"
    for number in range(2, MIGRATIONS + 1):
        name = f"{number:04d}_more"
        files[f"stock/migrations/{name}.py"] = _LATER.format(before=before, table=number % 20, number=number)
        before = name
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
