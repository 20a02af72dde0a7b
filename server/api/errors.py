"""Whatever goes wrong, as a problem (RFC 9457) with the status that belongs to its code."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ExceptionHandler, Scope

from server.chat.errors import Busy, ChatError, Invalid
from server.chat.problems import KINDS, problem
from server.streaming.events import BadCursor
from server.streaming.log import CursorReset

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
PROBLEM_KEY = "xionimus.problem"  # what was refused and why: a dict in the scope, for the log
MAX_ERRORS = 100  # in one refusal
RETRY_AFTER = 1  # seconds, with every 429 and 503

HTTP_CODES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


class ProblemError(Exception):
    """A request that the API refuses before the application sees it."""

    def __init__(self, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.more = more


def problem_of(error: Exception, instance: str | None = None) -> dict[str, Any]:
    """The problem that tells of `error`; for one that nobody foresaw, `internal`, and a line in the log."""
    match error:
        case ProblemError():
            return problem(error.code, error.detail, instance=instance, **error.more)
        case Busy():
            return problem(error.code, error.detail, instance=instance, active=error.active)
        case Invalid():
            errors = [{"field": error.field, "detail": error.detail}]
            return problem(error.code, error.detail, instance=instance, errors=errors)
        case ChatError():
            after = RETRY_AFTER if KINDS[error.code].status in (429, 503) else None
            return problem(error.code, error.detail, instance=instance, retry_after=after)
        case BadCursor():
            return problem("bad_cursor", str(error), instance=instance)
        case CursorReset():
            return problem(
                "cursor_reset",
                "read the history again, then go on from its cursor",
                instance=instance,
                reason=error.reason,
                cursor=str(error.oldest),
            )
        case ValidationError():
            return _validation_problem(error, instance)
        case HTTPException():
            code = HTTP_CODES.get(error.status_code, "bad_request")
            return problem(code, error.detail, instance=instance)
    logger.error("a request failed", exc_info=error)
    return problem("internal", "the server made a mistake; it is in its log", instance=instance)


def path_of(scope: Scope) -> str:
    """The path as a URI reference. Not that of Starlette's `url`: it has lost what no URL can hold."""
    return quote(scope["path"])


def respond(told: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    more = dict(headers or {})
    if told["retry_after"] is not None:
        more["Retry-After"] = str(math.ceil(told["retry_after"]))
    return JSONResponse(dict(told), told["status"], headers=more, media_type=MEDIA_TYPE)


def handlers() -> dict[Any, ExceptionHandler]:
    kinds = (
        ProblemError,
        ChatError,
        BadCursor,
        CursorReset,
        ValidationError,
        HTTPException,
        Exception,
    )
    return dict.fromkeys(kinds, _handle)


async def _handle(request: Any, error: Exception) -> Response:
    assert isinstance(request, Request)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if "Allow" in headers:
        headers["Allow"] = _allowed(request) or headers["Allow"]
    told = problem_of(error, path_of(request.scope))
    request.scope.get(PROBLEM_KEY, {}).update(told)
    return respond(told, headers)


def _allowed(request: Request) -> str:
    """The methods of all routes with this path: Starlette's own answer names those of the first alone."""
    found = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in found for method in getattr(route, "methods", None) or ()}))


def _validation_problem(error: ValidationError, instance: str | None) -> dict[str, Any]:
    if error.error_count() > MAX_ERRORS:  # each of them costs time, and a megabyte has room for a hundred thousand
        return problem("invalid", f"{error.error_count()} things are wrong with it", instance=instance, errors=[])
    # Without the input: it may be a key.
    found = error.errors(include_input=False, include_url=False)
    if any(each["type"] == "json_invalid" for each in found):
        return problem("bad_request", f"the body is no JSON: {found[0]['msg']}", instance=instance)
    of_union = error.title.startswith("tagged-union")
    errors = [{"field": _field(each, of_union), "detail": _detail(each)} for each in found]
    detail = "; ".join(f"{each['field']}: {each['detail']}" for each in errors[:5])
    return problem("invalid", detail, instance=instance, errors=errors)


def _field(error: Mapping[str, Any], of_union: bool) -> str:
    """`of_union`: the shape was chosen by the field `type`, and pydantic puts the choice before the place."""
    if error["type"].startswith("union_tag"):
        return "type"
    return ".".join(str(part) for part in error["loc"][of_union:]) or "body"


def _detail(found: ErrorDetails) -> str:
    if found["type"] == "union_tag_invalid":  # pydantic's own words repeat what was sent
        return f"must be one of {found['ctx']['expected_tags']}"
    return found["msg"].removeprefix("Value error, ")  # which is Python's name for it
