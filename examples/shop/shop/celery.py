"""The Celery application: `celery -A shop worker` and `celery -A shop beat` start from here."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
# Django's checks are run by web; here they would load the pages, which workers never need.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("shop", include=["store.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
