"""When a schedule comes round: cron expressions, read in a time zone. Pure.

A schedule is `minute hour day-of-month month day-of-week`, each a number, a name, `*`, a range, a list or a step; `L` is a month's last
day and `MON#2` its second Monday. A sixth field, at the end, names seconds; without it a schedule comes round in the second 0.

Where clocks are put forward, a time of day that is left out comes round at the first moment after the gap; where they are put back, a
time of day comes round the first time alone. A schedule whose minute or hour begins with `*` goes by the time that really passes.
Source: cron(8) of Debian, which treats daylight saving so.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

from cronsim import CronSim, CronSimError

from server.kit.errors import Invalid

__all__ = ["BadSchedule", "BadTimezone", "checked_timezone", "next_after"]

MAX_CHARS = 200
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
HINT = "Ensure the schedule uses the standard cron format (minute hour day_of_month month day_of_week). Example: '*/5 * * * *'."


class BadSchedule(Invalid):
    """The schedule is no cron expression."""

    code = "bad_schedule"


class BadTimezone(Invalid):
    """The time zone is not known."""

    code = "bad_timezone"


def checked_timezone(name: str) -> str:
    """The name of a time zone of the IANA database. Raises BadTimezone."""
    _zone(name)
    return name


def next_after(schedule: str, moment: dt.datetime, timezone: str | None = None) -> dt.datetime:
    """The first moment after `moment` at which a schedule comes round, in UTC. Raises BadSchedule, BadTimezone.

    timezone: in which the schedule is read; None is UTC.
    """
    zone = _zone(timezone) if timezone else dt.UTC
    fields = _fields(schedule)
    local = moment.astimezone(zone)
    is_time_of_day = not fields[1].startswith("*") and not fields[2].startswith("*")
    try:
        for found in CronSim(" ".join(fields), local.replace(tzinfo=None) if is_time_of_day else local):
            real = _real(found, zone) if is_time_of_day else found
            if real > moment:
                return real.astimezone(dt.UTC)
    # The library's own refusal, and what it stumbles over in an expression that is none.
    except (CronSimError, AssertionError, TypeError, ValueError) as error:
        raise _bad(schedule, str(error) if isinstance(error, CronSimError) else "Not a cron expression") from None
    raise _bad(schedule, "It never comes round")


def _fields(schedule: str) -> list[str]:
    """The six fields of an expression, its seconds first, as the library wants them."""
    if len(schedule) > MAX_CHARS:
        raise BadSchedule(f"A cron schedule has at most {MAX_CHARS} characters.")
    fields = ALIASES.get(schedule.strip().lower(), schedule).split()
    if len(fields) not in (5, 6):
        raise _bad(schedule, f"It has {len(fields)} fields")
    return [fields[5] if len(fields) == 6 else "0", *fields[:5]]


def _bad(schedule: str, reason: str) -> BadSchedule:
    return BadSchedule(f"Invalid cron schedule: '{schedule}'. Reason: {reason}. {HINT}")


def _zone(name: str) -> dt.tzinfo:
    if len(name) > MAX_CHARS or not ZONE.fullmatch(name) or name == "localtime":
        raise _unknown(name)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise _unknown(name) from None


def _unknown(name: str) -> BadTimezone:
    return BadTimezone(f"Invalid timezone: '{name[:MAX_CHARS]}'. Use IANA timezone format (e.g. 'America/New_York').")


def _real(local: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """A time of day as a moment: the first of two, and the first after it where clocks leave it out."""
    found = local.replace(tzinfo=zone)
    while found.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != local:
        local = (local + dt.timedelta(minutes=1)).replace(second=0)
        found = local.replace(tzinfo=zone)
    return found
