"""What uvicorn's connections do stays as it is, with less memory."""

from __future__ import annotations

import json
import re

from tests.access.raw import exchange
from tests.serving import ServerProcess


def test_requests_sent_at_once_are_answered_one_after_the_other(server: ServerProcess, session_id: str) -> None:
    host = f"127.0.0.1:{server.port}"
    body = json.dumps({"id": session_id}).encode()
    requests = [
        b"GET /healthz HTTP/1.1\r\nHost: %b\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\nHost: %%b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body),
        b"GET /api/sessions/%b HTTP/1.1\r\nHost: %%b\r\nConnection: close\r\n\r\n" % session_id.encode(),
    ]
    answers = exchange(server, b"".join(request % host.encode() for request in requests))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"201", b"200"]
    assert answers.count(session_id.encode()) >= 2
