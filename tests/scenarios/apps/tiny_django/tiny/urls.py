"""`/` says how many jobs there are; `/do` begins one; `/job` says what became of the last."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tiny.models import Job


def front(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{Job.objects.count()} jobs")


def do(request: HttpRequest) -> HttpResponse:
    from tiny.celery import work

    job = Job.objects.create()
    work.delay(job.pk)
    return HttpResponse("begun")


def last(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Job.objects.latest("pk").answer)


urlpatterns = [path("", front), path("do", do), path("job", last)]
