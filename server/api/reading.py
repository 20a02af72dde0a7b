"""Reading a log over HTTP: the cursor, the framing, and the answers that are no stream."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from server.api.errors import ProblemError
from server.api.requests import Format, read_query, wanted_format
from server.api.schemas import EventsQuery
from server.chat.reading import Reader
from server.transports import long_poll, ndjson, sse, text
from server.transports.connections import Connections


@dataclass(frozen=True, slots=True)
class LogResponses:
    """`send_timeout`: seconds after which a reader that takes nothing is let go."""

    connections: Connections
    send_timeout: float

    async def follow(self, request: Request, reader: Reader) -> Response:
        """The events after the request's cursor, as the request wants them.

        204 if the client has the last event already: that stops an EventSource for good.
        """
        query = read_query(request, EventsQuery)
        form = wanted_format(request, query.format, "sse")
        if form == "json":
            wait = 0 if request.method == "HEAD" else query.wait  # nothing would come of it
            return await long_poll.respond(request.receive, reader, self.connections, wait)
        if form == "text" and reader.target.message is None:
            raise ProblemError("bad_request", "text is the form of one answer; read a message, not a session")
        return await self.go_on(form, reader, pings=query.heartbeat == "event")

    async def go_on(
        self, form: Format, reader: Reader, headers: dict[str, str] | None = None, pings: bool = False
    ) -> Response:
        """The rest, for a client that may have read a part of it, or all. Raises CursorReset where the form has no
        word for it.
        """
        _, _, reset = await reader.open()
        if await reader.exhausted():
            return Response(status_code=204, headers=headers)
        if form != "text" or reset is None:
            return self.stream(form, reader, headers, pings)
        message = reader.target.message
        if message and message.status in ("completed", "cancelled") and reader.from_first:
            # Its events are gone, its text is not.
            return Response(message.content, media_type=text.MEDIA_TYPE, headers=headers)
        raise reset

    def stream(
        self, form: Format, reader: Reader, headers: dict[str, str] | None = None, pings: bool = False
    ) -> Response:
        if form == "ndjson":
            return ndjson.respond(reader, self.connections, self.send_timeout, headers)
        if form == "text":
            return text.respond(reader, self.connections, self.send_timeout, headers)
        return sse.respond(reader, self.connections, self.send_timeout, headers, pings)
