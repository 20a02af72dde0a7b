"""A WebSocket that says everything back, on the server's own protocol: what the Autobahn cases are tried on. They
send faster, and in more pieces, than anybody here may, and on a busy machine they answer a ping late; so these bounds
are lifted.

    python -m tests.access.echo PORT
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server import bounds
from server.serving import options
from server.settings import Settings


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        return await Response()(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


if __name__ == "__main__":
    bounds.FRAMES = bounds.PIECES = sys.maxsize
    settings = Settings(port=int(sys.argv[1]), stream_compression="gzip")
    uvicorn.run(echo, **{**options(settings), "lifespan": "off", "ws_ping_interval": None})
