"""`/` answers with what the database says."""

import os

import psycopg
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def front() -> str:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT 'from ' || current_database()").fetchone()
    return row[0]
