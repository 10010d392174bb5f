"""`/` answers; `/do` begins a job; `/job` says what became of it."""

import os

from flask import Flask
from jobs import work
from redis import Redis
from rq import Queue

app = Flask(__name__)
queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


@app.get("/")
def front() -> str:
    return "tiny"


@app.get("/do")
def do() -> str:
    queue.enqueue(work, job_id="the-job")
    return "begun"


@app.get("/job")
def last() -> str:
    job = queue.fetch_job("the-job")
    return str(job.return_value() or "") if job else ""
