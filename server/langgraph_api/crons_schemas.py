"""The shapes of the crons' door."""

from __future__ import annotations

import datetime as dt

from marshmallow import EXCLUDE, Schema, fields, validate

from server.langgraph_api.runs_schemas import MAX_PAGE, NewThreadRun
from server.runs.crons.models import SORTS

__all__ = ["ChangedCron", "CountedCrons", "CronShape", "NewCron", "SearchCrons"]

FIELDS = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
)


class NewCron(NewThreadRun):
    """A cron to be made: its schedule, and what a run is started with."""

    schedule = fields.String(required=True, metadata={"description": "minute hour day month weekday, and seconds as a sixth field."})
    timezone = fields.String(allow_none=True, metadata={"description": "A name of the IANA database; without it UTC."})
    end_time = fields.AwareDateTime(default_timezone=dt.UTC, allow_none=True, metadata={"description": "It fires no more after this."})
    enabled = fields.Boolean(allow_none=True)
    on_run_completed = fields.String(
        allow_none=True,
        validate=validate.OneOf(("delete", "keep")),
        metadata={"description": "What becomes of the thread that each run has of its own."},
    )


class ChangedCron(NewCron):
    """What is to be changed; metadata are merged."""

    schedule = fields.String()
    assistant_id = fields.String(dump_only=True)


class CountedCrons(Schema):
    """Which crons."""

    class Meta:
        unknown = EXCLUDE

    assistant_id = fields.String(load_default=None, allow_none=True)
    thread_id = fields.String(load_default=None, allow_none=True)
    enabled = fields.Boolean(load_default=None, allow_none=True)
    metadata = fields.Dict(load_default=None, allow_none=True)


class SearchCrons(CountedCrons):
    """Which crons, and which page of them."""

    limit = fields.Integer(load_default=10, validate=validate.Range(1, MAX_PAGE))
    offset = fields.Integer(load_default=0, validate=validate.Range(0, 2**31 - 1))
    sort_by = fields.String(load_default="created_at", validate=validate.OneOf(tuple(SORTS)))
    sort_order = fields.String(load_default="desc", validate=validate.OneOf(("asc", "desc")))
    select = fields.List(fields.String(validate=validate.OneOf(FIELDS)), load_default=None, allow_none=True)


class CronShape(Schema):
    """A cron."""

    cron_id = fields.UUID()
    assistant_id = fields.UUID()
    thread_id = fields.String(allow_none=True)
    user_id = fields.UUID()
    end_time = fields.DateTime(allow_none=True)
    schedule = fields.String()
    timezone = fields.String(allow_none=True)
    payload = fields.Dict()
    next_run_date = fields.DateTime()
    metadata = fields.Dict()
    on_run_completed = fields.String(allow_none=True)
    enabled = fields.Boolean()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()
    note = fields.String(metadata={"description": "Why no run began the last time; missing where all is well."})
