"""What visitors and scripts get when Postgres is away: a plain 503 instead of a traceback."""

from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

Handler = Callable[[HttpRequest], HttpResponse]


class Unavailable:
    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, (InterfaceError, OperationalError)):
            return None
        if request.path.startswith("/api/"):
            return JsonResponse({"error": "The database does not answer. Try again in a moment."}, status=503)
        return render(request, "store/unavailable.html", status=503)
