"""Settings of the shop. Everything that differs between machines comes from the environment."""

from pathlib import Path
from typing import Any

import dj_database_url

from shop import env

BASE_DIR = Path(__file__).resolve().parent.parent

_database_url, _redis_url, _broker_url, SECRET_KEY = env.required(
    "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY"
)
DEBUG = env.flag("DEBUG")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = ["django.contrib.staticfiles", "store"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "store.middleware.Unavailable",
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# No connection outlives its request, task or message, so an idle shop never stands in the way of a database reset.
DATABASES: dict[str, Any] = {
    "default": {
        **env.parsed("DATABASE_URL", _database_url, dj_database_url.parse),
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"connect_timeout": 3},
    }
}
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _redis_url,
        "KEY_PREFIX": "shop",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django": {"handlers": []}},  # in place of Django's own, which would say everything twice
    "root": {"handlers": ["console"], "level": "INFO"},
}

# An order that has not moved for this many seconds is sent again; beat looks every SHOP_SWEEP_EVERY seconds.
SHOP_STUCK_AFTER = 10
SHOP_SWEEP_EVERY = 5
# The RabbitMQ exchange of the shop's own messages; queues are named after it. Tests let theirs expire.
SHOP_EXCHANGE = "shop"
SHOP_QUEUE_EXPIRES: int | None = None

CELERY_BROKER_URL = _broker_url
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
CELERY_TASK_DEFAULT_QUEUE = "shop.tasks"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
# A task is acknowledged when it is done: a killed worker's tasks go to another one.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# The customer must not wait for a broken broker: give up at once, the sweep sends it later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "store.tasks.sweep_orders",
        "schedule": SHOP_SWEEP_EVERY,
        # Sweeps nobody fetched vanish instead of piling up while no worker runs.
        "options": {"expiration": SHOP_SWEEP_EVERY},
    }
}
