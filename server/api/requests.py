"""What a request says: its body, its query, its cursor, and what it wants back."""

from __future__ import annotations

import re
from typing import Literal, TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from server.api.errors import ProblemError
from server.api.schemas import IDEMPOTENCY_KEY
from server.chat.reading import EVERYTHING
from server.streaming.events import Cursor

Shape = TypeVar("Shape", bound=BaseModel)
Format = Literal["sse", "ndjson", "json", "text"]

# In the scope of every connection that has been let in.
OWNER_KEY = "xionimus.owner"
COUNT_KEY = "xionimus.count"
CURSOR_PARAMETERS = ("after", "last_event_id", "lastEventId")
MEDIA_TYPES: dict[str, Format] = {
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/json": "json",
    "text/plain": "text",
}


def owner_of(connection: HTTPConnection) -> str:
    """Whose request it is."""
    # Without a default: a request that nobody has let in must fail.
    owner: str = connection.scope[OWNER_KEY]
    return owner


def count_frame(connection: HTTPConnection) -> None:
    """A frame on a socket asks for something as a request does. Raises ProblemError if its sender asks too much."""
    connection.scope[COUNT_KEY]()


async def read_body(request: Request, shape: type[Shape], max_bytes: int) -> Shape:
    """The body as `shape`; an absent one is `{}`. Raises ProblemError, pydantic.ValidationError."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise ProblemError("unsupported_media_type", f"the body must come without a coding, not in {coding!r}")
    body = await read_bytes(request, max_bytes)
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if body and media_type.strip().lower() != "application/json":
        raise ProblemError("unsupported_media_type", f"the body must be application/json, not {media_type!r}")
    if "charset" in parameters.lower() and "utf-8" not in parameters.lower():
        raise ProblemError("unsupported_media_type", "JSON is UTF-8")
    return shape.model_validate_json(body or b"{}")


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The body. Raises ProblemError."""
    too_large = ProblemError("too_large", f"the body may have {max_bytes} bytes at the most")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > max_bytes:
                raise too_large
    except ClientDisconnect:
        raise ProblemError("bad_request", "the body ended early") from None
    return bytes(body)


def read_query(connection: HTTPConnection, shape: type[Shape]) -> Shape:
    """Raises pydantic.ValidationError."""
    return shape.model_validate(dict(connection.query_params))


def cursor_in(connection: HTTPConnection) -> str | None:
    """The cursor that the client sent, wherever it may stand; the header goes first: a browser sets it when it
    comes back to an address that may still have an older one in its query. Raises BadCursor.
    """
    query = connection.query_params
    cursor = connection.headers.get("last-event-id")
    if cursor is None:
        cursor = next((query[name] for name in CURSOR_PARAMETERS if name in query), None)
    if cursor is not None and cursor != EVERYTHING:
        Cursor.parse(cursor)
    return cursor


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise ProblemError(
            "invalid",
            "Idempotency-Key must have 1 to 128 letters, digits, or : _ -",
            errors=[{"field": "Idempotency-Key", "detail": "1 to 128 of A-Z a-z 0-9 : _ -"}],
        )
    return key


def wanted_format(request: Request, asked: Format | None, default: Format) -> Format:
    """`?format=`, else the first type in Accept that we have (by its order and weight), else the default."""
    if asked is not None:
        return asked
    ranges = []
    for place, part in enumerate(",".join(request.headers.getlist("accept")).split(",")):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        ranges.append((-weight, place, media_type))
    for weight, _, media_type in sorted(ranges):
        if weight < 0 and media_type in MEDIA_TYPES:
            return MEDIA_TYPES[media_type]
        if weight < 0 and media_type == "*/*":
            return default
    return default


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
