"""Whatever is sent, the API answers as /openapi.json says, and never with a 5xx.

A short form of this runs with all tests. 2,000 cases for each operation, and 100,000 frames:

    FUZZ_CASES=2000 FUZZ_FRAMES=100000 uv run --group dev pytest tests/access/test_fuzz.py --timeout 0
"""

from __future__ import annotations

import json
import os
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from httpx_ws import WebSocketDisconnect
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.api.operation import operations as described
from server.app import Application
from server.settings import Settings
from tests import plain
from tests.access.people import socket_to
from tests.serving import ServerProcess, running

CASES = int(os.environ.get("FUZZ_CASES", "15"))
FRAMES = int(os.environ.get("FUZZ_FRAMES", "2000"))
FRAMES_A_SOCKET = 150  # more, that fast, and the server closes it

PROBE = "/api/stream/probe"

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def operations() -> list[tuple[str, str]]:
    application = Application(Settings(database_url="sqlite:///unused.db"))
    return [(each.method, each.path) for each in described(application.starlette.routes)]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(tmp_path_factory.mktemp("fuzzed"), XIONIMUS_DEMO_DELAY="0") as server:
        yield server
        assert "Traceback" not in server.log


@pytest.fixture(scope="module")
def schema(fuzzed: ServerProcess) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), operations())
@pytest.mark.timeout(0 if CASES > 100 else 120)
def test_answers_are_as_described(
    method: str, path: str, fuzzed: ServerProcess, schema: schemathesis.BaseSchema
) -> None:
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy())
    def send(case: Any) -> None:
        case.query = patient(path, case.query or {})
        answer = case.call(base_url=fuzzed.url, timeout=30)
        # OpenAPI 3.1 has no word for an event of a stream, so the whole of one is described as text.
        streamed = "text/event-stream" in answer.headers.get("content-type", [""])[0]
        case.validate_response(answer, checks=CHECKS[:-1] if streamed else CHECKS)

    send()


def patient(path: str, query: dict[str, Any]) -> dict[str, Any]:
    """A stream of a session never ends, so what is fuzzed is its long-poll; and nobody here waits for long."""
    if path.endswith("/events"):
        query = {**query, "format": "json", "wait": "0"}
    elif "wait" in query:
        query = {**query, "wait": "0"}
    if path == PROBE and takes_time(query.get("interval", "0.25")):
        query = {**query, "interval": "0.05"}
    return query


def takes_time(interval: object) -> bool:
    try:
        return 0.05 < float(str(interval)) <= 60
    except ValueError:
        return False  # refused at once


KINDS = ("chat", "cancel", "ping", "pong", "", None, 7)
VALUES: tuple[object, ...] = (
    None,
    "",
    "x",
    "msg_none",
    0,
    -1,
    1e308,
    True,
    [],
    {},
    [[[]]],
    {"a": {}},
    "\x00",
    "\ud800",
    "x" * 5_000,
)
FIELDS = ("content", "message_id", "client_id", "provider", "model", "parent_id", "api_keys", "on_busy", "zz")


def random_frame(chance: random.Random) -> str | bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(200))
    frame: dict[str, object] = {"type": chance.choice(KINDS)} | {
        chance.choice(FIELDS): chance.choice(VALUES) for _ in range(chance.randrange(5))
    }
    text = json.dumps(frame)
    if chance.random() < 0.3:
        place = chance.randrange(len(text))
        text = text[:place] + chance.choice(["", "\x00", "{", '"', "é", "]"]) + text[place + chance.randrange(4) :]
    return text


@pytest.mark.timeout(0 if FRAMES > 10_000 else 120)
def test_random_frames_get_an_answer_each_and_break_nothing(fuzzed: ServerProcess) -> None:
    chance = random.Random(6)
    for _ in range(0, FRAMES, FRAMES_A_SOCKET):
        url = f"{fuzzed.url}/ws/chat/fuzz-{uuid.uuid4().hex}"
        with socket_to(url, {}) as socket:
            try:
                for _ in range(FRAMES_A_SOCKET):
                    frame = random_frame(chance)
                    socket.send_text(frame) if isinstance(frame, str) else socket.send_bytes(frame)
                socket.send_json({"type": "ping"})
                while socket.receive_json(timeout=30)["type"] != "pong":
                    pass
            except WebSocketDisconnect as closed:
                pytest.fail(f"closed with {closed.code}")
    assert plain.get(f"{fuzzed.url}/readyz").status_code == 200
