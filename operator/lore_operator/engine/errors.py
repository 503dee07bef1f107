"""What an API call can end in, as types, so that callers say what they expect."""

from collections.abc import Mapping
from typing import Any, Final

from lore_operator.engine import remedies


class ApiError(Exception):
    """A refused or impossible API call. `status` is the HTTP status, 0 where no answer came."""

    def __init__(self, verb: str, target: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{verb} {target}: {message or reason} ({status} {reason})")
        self.verb, self.target, self.status, self.reason, self.message = verb, target, status, reason, message

    @property
    def condition_reason(self) -> str:
        """The documented reason that a condition shows."""
        if self.status == 404 and self.verb == "create":
            return "KindNotInstalled"
        return _CONDITION_REASONS.get(type(self), "ApiError")


class Unreachable(ApiError):
    """No answer came: connection refused, reset, timed out."""


class BadRequest(ApiError):
    """400: the request itself is wrong."""


class Unauthorized(ApiError):
    """401: the credentials are not accepted."""


class Forbidden(ApiError):
    """403: RBAC, a quota or an admission policy says no."""


class NotFound(ApiError):
    """404: no such object, or the kind is not installed."""


class Conflict(ApiError):
    """409: a precondition (uid, resourceVersion) does not hold."""


class AlreadyExists(ApiError):
    """409 on create: the name is taken."""


class Gone(ApiError):
    """410: the resource version is too old to watch from."""


class Invalid(ApiError):
    """422: the object breaks its schema or a CEL rule."""


class TooManyRequests(ApiError):
    """429: the apiserver asks for patience."""


class NotLeading(ApiError):
    """Not sent: another operator may lead by now."""


_CONDITION_REASONS: Final[Mapping[type[ApiError], str]] = {
    Unreachable: "ApiUnreachable",
    Unauthorized: "ApiUnauthorized",
    Forbidden: "ApiForbidden",
    Invalid: "ApiInvalid",
    BadRequest: "ApiInvalid",
    TooManyRequests: "ApiThrottled",
}
_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_status(verb: str, target: str, code: int, body: Mapping[str, Any]) -> ApiError:
    """The error that a `Status` object of the apiserver stands for."""
    reason = str(body.get("reason") or "Unknown")
    kind = AlreadyExists if reason == "AlreadyExists" else _BY_STATUS.get(code, ApiError)
    message = str(body.get("message") or "")
    if kind is Forbidden:
        message += remedies.for_denied(message)
    elif kind is NotFound and verb == "create":
        message += remedies.for_missing_kind(target)
    return kind(verb, target, code, reason, message)
