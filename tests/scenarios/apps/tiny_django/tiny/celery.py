import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tiny.settings")
app = Celery("tiny")
app.conf.task_ignore_result = True


@app.task
def work(job: int) -> None:
    from tiny.models import Job

    Job.objects.filter(pk=job).update(answer=f"done by {work.request.hostname}")
