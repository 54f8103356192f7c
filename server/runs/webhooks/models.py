"""The table of webhooks that have not been heard yet."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kit.clock import now
from server.kit.db import Base

__all__ = ["Delivery"]


class Delivery(Base):
    """What somebody's server is to be told; gone when it has been heard, or was tried often enough."""

    __tablename__ = "webhook_deliveries"

    # The run that has ended, which may be gone already.
    run_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    url: Mapped[str]
    payload: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(default=0)
    # When the next try may be made. While one is under way that is the one after it.
    due_at: Mapped[dt.datetime] = mapped_column(default=now, index=True)
    # When a worker was last asked to.
    woken_at: Mapped[dt.datetime] = mapped_column(default=now)
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
