"""Settings of the tests: the same servers, but names of their own, so that a running shop is not disturbed."""

import os
import secrets

from kombu import Queue

from shop.settings import *  # noqa: F403 - a settings module is extended by importing its names
from shop.settings import CACHES

# In the environment, so that programs which a test starts use the same.
_name = os.environ.setdefault("SHOP_TEST_NAME", f"shop-test-{secrets.token_hex(4)}")

SECRET_KEY = "only-for-tests"  # noqa: S105 - signs nothing else
DEBUG = False
CACHES["default"]["KEY_PREFIX"] = _name
SHOP_EXCHANGE = _name
SHOP_QUEUE_EXPIRES = 60
CELERY_TASK_DEFAULT_QUEUE = f"{_name}.tasks"
CELERY_TASK_QUEUES = [Queue(CELERY_TASK_DEFAULT_QUEUE, routing_key=CELERY_TASK_DEFAULT_QUEUE, expires=60)]
