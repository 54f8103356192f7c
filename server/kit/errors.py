"""The refusals of the server, as one tree; a class carries its code, HTTP status and WebSocket close code.

    Refusal                     400  bad_request
    ├── MissingJson             400  missing_json
    ├── Invalid                 422  invalid            (fields: what is wrong with each)
    ├── Unauthenticated         401  unauthenticated
    ├── Forbidden               403  forbidden
    ├── NotFound                404  not_found
    ├── Conflict                409  conflict
    ├── Gone                    410  gone
    ├── TooLarge                413  too_large
    ├── TooMany                 429  rate_limited       (retry_after_s)
    ├── Unavailable             503  unavailable        (retry_after_s)
    └── TimedOut                504  timeout

The domain raises, each door renders in its own dialect. A class's docstring is its message where none is given.
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "MissingJson",
    "NotFound",
    "Refusal",
    "TimedOut",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
]

Fields = dict[str, list[str]]


class Refusal(Exception):
    """The request cannot be carried out."""

    code = "bad_request"
    status = 400
    close_code = 4400

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if code is not None:
            self.code = code
        super().__init__(self.message)


class MissingJson(Refusal):
    """Missing JSON in request"""

    code = "missing_json"


class Invalid(Refusal):
    """The request has fields that are not valid."""

    code = "invalid"
    status = 422
    close_code = 4422

    def __init__(self, message: str | None = None, *, fields: Fields | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.fields: Fields = fields or {}


class Unauthenticated(Refusal):
    """Authentication is required."""

    code = "unauthenticated"
    status = 401
    close_code = 4401


class Forbidden(Refusal):
    """You may not do this."""

    code = "forbidden"
    status = 403
    close_code = 4403


class NotFound(Refusal):
    """Not found"""

    code = "not_found"
    status = 404
    close_code = 4404


class Conflict(Refusal):
    """The state of the thing does not allow this."""

    code = "conflict"
    status = 409
    close_code = 4409


class Gone(Refusal):
    """It is no longer kept."""

    code = "gone"
    status = 410
    close_code = 4410


class TooLarge(Refusal):
    """The request is too large."""

    code = "too_large"
    status = 413
    close_code = 1009


class TooMany(Refusal):
    """Too many requests; try again later."""

    code = "rate_limited"
    status = 429
    close_code = 4429

    def __init__(self, message: str | None = None, *, retry_after_s: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(Refusal):
    """The server cannot do this at the moment; try again."""

    code = "unavailable"
    status = 503
    close_code = 1013

    def __init__(self, message: str | None = None, *, retry_after_s: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class TimedOut(Refusal):
    """It took longer than the limit."""

    code = "timeout"
    status = 504
    close_code = 4504
