"""Problems as the wire tells them (RFC 9457), in answers to requests and in `error` events alike.

One table: what a code means, its HTTP status, and whether the same request may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Kind(NamedTuple):
    status: int
    title: str
    retryable: bool = False


KINDS: Mapping[str, Kind] = {
    "bad_request": Kind(400, "The request could not be understood"),
    "bad_cursor": Kind(400, "That is not a cursor"),
    "unauthorized": Kind(401, "Sign in first"),
    "forbidden_origin": Kind(403, "Requests from this origin are not allowed"),
    "forbidden_host": Kind(403, "This host name is not served here"),
    "not_found": Kind(404, "There is no such thing here"),
    "method_not_allowed": Kind(405, "This address does not take that method"),
    "session_busy": Kind(409, "An answer of this session is still being written", retryable=True),
    "cursor_reset": Kind(409, "The cursor does not point into this log any more"),
    "not_active": Kind(409, "This message is nothing that could be stopped"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "Send application/json"),
    "invalid": Kind(422, "A field does not fit"),
    "idempotency_key_reused": Kind(422, "The idempotency key belongs to another request"),
    "unknown_model": Kind(422, "No such provider or model"),
    "provider_not_configured": Kind(422, "The provider has no key"),
    "upgrade_required": Kind(426, "This address is for WebSockets"),
    "rate_limited": Kind(429, "Too many requests", retryable=True),
    "too_many_streams": Kind(429, "Too many streams", retryable=True),
    "internal": Kind(500, "The server failed", retryable=True),
    "draining": Kind(503, "The server is about to stop", retryable=True),
    "storage_unavailable": Kind(503, "The log cannot be written or read right now", retryable=True),
    "overloaded": Kind(503, "Too many answers are being written", retryable=True),
    # In `error` events; the status is the one a request would have got.
    "provider_auth": Kind(502, "The provider refused the key"),
    "provider_rate_limited": Kind(502, "The provider limits the rate", retryable=True),
    "provider_overloaded": Kind(502, "The provider is overloaded", retryable=True),
    "provider_bad_request": Kind(502, "The provider refused the request"),
    "provider_timeout": Kind(504, "The provider took too long", retryable=True),
    "provider_truncated": Kind(502, "The provider's answer was cut short", retryable=True),
    "provider_malformed": Kind(502, "The provider's answer could not be read", retryable=True),
    "provider_unreachable": Kind(502, "The provider could not be reached", retryable=True),
    "interrupted": Kind(503, "The answer was interrupted", retryable=True),
}


def problem(
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    retryable: bool | None = None,
    retry_after: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The object of RFC 9457, with `code`, `retryable`, `retry_after` (seconds or None) and `more`."""
    kind = KINDS[code]
    return {
        "type": f"urn:xionimus:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "retryable": kind.retryable if retryable is None else retryable,
        "retry_after": retry_after,
        **more,
    }


def interrupted(message_id: str) -> dict[str, Any]:
    return problem(
        "interrupted",
        "the server stopped while this answer was being written; ask again or go on from here",
        instance=f"/api/messages/{message_id}",
    )


def internal(message_id: str) -> dict[str, Any]:
    return problem("internal", "the server made a mistake", instance=f"/api/messages/{message_id}")
