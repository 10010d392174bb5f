"""`/health/`: is what this process needs to answer visitors there, Postgres and Redis?"""

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 {"status": "ok"}, or 503 {"status": "error", "problems": {"postgres": "…"}}."""
    problems = {}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as error:
        problems["postgres"] = _line(error)
    try:
        cache.get("health")
    except RedisError as error:
        problems["redis"] = _line(error)
    if problems:
        return JsonResponse({"status": "error", "problems": problems}, status=503)
    return JsonResponse({"status": "ok"})


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
