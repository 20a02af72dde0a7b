"""JSON in steps, for networks that hold streams back: ask, get what there is, ask again."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive

from server.chat.reading import Page, Reader
from server.transports.connections import Connections
from server.transports.leaving import unless_gone
from server.transports.response import HEADERS

MEDIA_TYPE = "application/json"
MAX_WAIT = 25.0
MAX_EVENTS = 500
MAX_BYTES = 256 * 1024


async def respond(receive: Receive, reader: Reader, connections: Connections, wait: float) -> Response:
    """Raises CursorReset."""
    with connections.opened("poll", reader):
        page = await unless_gone(receive, reader.page(min(wait, MAX_WAIT), MAX_EVENTS, MAX_BYTES))
    if page is None:
        return Response(status_code=204)  # to nobody
    return Response(encode(page), media_type=MEDIA_TYPE, headers=HEADERS)


def encode(page: Page) -> bytes:
    events = b",".join([event.json for event in page.events])
    done = b"true" if page.done else b"false"
    return b'{"events":[%b],"cursor":"%b","done":%b}' % (events, str(page.cursor).encode(), done)
