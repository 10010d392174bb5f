"""Times of a `schedule`, as cron writes them; read by the library cronsim."""

from __future__ import annotations

import datetime

#: any day will do to see whether an expression ever comes true
_SOME_DAY = datetime.datetime(2024, 1, 1)  # noqa: DTZ001 - schedules are in local time


def ensure_fires(expression: str) -> str:
    """The expression as it is. Raises ValueError where it isn't one, or no day of the next fifty years fits it."""
    from cronsim import CronSim, CronSimError

    if expression.startswith("@"):
        raise ValueError("write five fields, such as `0 3 * * *` for every night at three")
    try:
        next(CronSim(expression, _SOME_DAY))
    except StopIteration:
        raise ValueError("no day ever fits this") from None
    except (CronSimError, AssertionError, ValueError) as error:
        said = str(error) or "it can't be read"
        raise ValueError(f"{said[:1].lower()}{said[1:]}: wanted `minute hour day month weekday`") from None
    return expression
