"""Sessions of PostgreSQL's superuser that end at a deadline, whatever they wait for."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devstack.errors import ProcessError
from devstack.services import PASSWORD_REFUSED, Instance

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.abc import PQGen

    Session = Connection[Any]

ADMIN = "postgres"
_POLL = 0.02


def connect(instance: Instance, database: str, deadline: float) -> Session:
    """A session of the superuser that ends with an error at the deadline, whatever it waits for. What the environment
    says of other servers (`PGHOSTADDR`, `PGOPTIONS` …) is overridden."""
    import psycopg

    class Bounded(psycopg.Connection[Any]):
        def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
            return super().wait(_until(deadline, gen), interval)

    left = max(deadline - time.monotonic(), 0.001)
    way: dict[str, Any] = {"host": instance.sockets, "hostaddr": ""}
    if instance.is_contained:
        way = {"host": "127.0.0.1", "hostaddr": "127.0.0.1", "password": instance.password.reveal()}
    # libpq waits for at least 2 s, so only a server that accepts and then says nothing can outlast a shorter deadline
    return Bounded.connect(
        **way, autocommit=True, user=ADMIN, port=instance.port, dbname=database,
        connect_timeout=math.ceil(max(left, 2)), options=f"-c statement_timeout={math.ceil(left * 1000)}",
        application_name="devstack", sslmode="disable", gssencmode="disable", channel_binding="disable",
        client_encoding="UTF8",
    )


def _until(deadline: float, generator: PQGen[Any]) -> PQGen[Any]:
    """The same conversation, given up at the deadline; psycopg resumes it several times a second."""
    from psycopg.errors import ConnectionTimeout

    try:
        wanted = next(generator)
        while True:
            ready = yield wanted
            if time.monotonic() >= deadline:
                raise ConnectionTimeout("the server accepted the connection and does not answer")
            wanted = generator.send(ready)
    except StopIteration as end:
        return end.value


def admin(instance: Instance, deadline: float) -> Session:
    """The superuser's session, as soon as the server grants one. Raises ProcessError at the deadline."""
    import psycopg

    while True:
        try:
            return connect(instance, ADMIN, deadline)
        except psycopg.OperationalError as error:
            refused = "password authentication failed" in str(error)
            if refused or time.monotonic() + _POLL >= deadline:
                raise ProcessError(
                    PASSWORD_REFUSED if refused else "service-not-ready",
                    f"{instance.name} accepts no connection", why=line(error),
                    fix=f"devstack logs {instance.name}",
                ) from None
        time.sleep(_POLL)


def line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def translated(instance: Instance) -> Iterator[None]:
    """Raises ProcessError for what the client library raises while data is copied."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise ProcessError(
            "copy-failed", f"the data of {instance.name} can't be copied", why=line(error),
            fix=f"devstack logs {instance.name}",
        ) from None
