"""/openapi.json says what the server does, and /docs shows it without asking anybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from server.app import Application
from server.settings import Settings
from tests.api.calling import Caller, Json
from tests.serving import ServerProcess
from tests.transports.wire import ndjson_events

# The page and its files, the description itself, and what answers a socket that there is no address for.
NOT_DESCRIBED = {"/", "/service-worker.js", "/docs", "/openapi.json", "/{path:path}"}
NOT_DESCRIBED |= {f"/static{version}{part}" for version in ("", "/@{version}") for part in ("", "/vendor")}


@pytest.fixture(scope="module")
def caller(server: ServerProcess) -> Iterator[Caller]:
    with Caller(server) as caller:
        yield caller


@pytest.fixture(scope="module")
def document(caller: Caller) -> Json:
    response = caller.http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: Json = response.json()
    return document


@pytest.fixture(scope="module")
def message(caller: Caller) -> Json:
    return caller.answer("described", "What is a log?")


def operations(document: Json) -> dict[tuple[str, str], Json]:
    return {
        (method.upper(), path): described
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }


def test_it_is_valid(document: Json) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_described(document: Json, tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/x.db")
    routes = Application(settings).starlette.routes
    # A WebSocket begins with a GET.
    served = {(method, route.path) for route in routes for method in getattr(route, "methods", None) or {"GET"}}  # type: ignore[attr-defined]
    expected = {(method, path) for method, path in served if path not in NOT_DESCRIBED and method != "HEAD"}
    assert operations(document).keys() == expected


def test_every_operation_says_what_it_is(document: Json) -> None:
    ids = [described["operationId"] for described in operations(document).values()]
    assert len(set(ids)) == len(ids)
    for described in operations(document).values():
        assert described["summary"]
        assert set(described["responses"]) & {"101", "200", "201", "204", "303"}


def test_a_socket_is_described_with_its_frames(document: Json) -> None:
    for (_, path), described in operations(document).items():
        assert ("101" in described["responses"]) == ("x-frames" in described) == path.startswith("/ws/")
    frames = operations(document)["GET", "/ws/chat/{session_id}"]["x-frames"]
    names = [each["$ref"].rpartition("/")[2] for each in frames["client"]]
    assert names == ["ChatFrame", "CancelFrame", "PingFrame"]
    told = [each["$ref"].rpartition("/")[2] for each in frames["server"]]
    assert told == ["Event", "PongFrame", "AcceptedFrame", "RefusalFrame"]
    assert {*names, *told} <= document["components"]["schemas"].keys()
    assert {each["name"] for each in operations(document)["GET", "/ws/probe"]["parameters"]} == {"ticks", "interval"}


def test_every_parameter_of_a_path_is_described(document: Json) -> None:
    for (_, path), described in operations(document).items():
        names = {each["name"] for each in described["parameters"] if each["in"] == "path"}
        assert names == set(re.findall(r"{(\w+)}", path))


HI = {"content": "Hi", "model": "echo"}
NO_JSON = {"content": b"{", "headers": {"Content-Type": "application/json"}}

REAL = [
    ("GET", "/api/sessions", {}, 200),
    ("GET", "/api/sessions?limit=0", {}, 422),
    ("GET", "/api/sessions?before=nothing", {}, 404),
    ("POST", "/api/sessions", {}, 201),
    ("POST", "/api/sessions", {"content": "x"}, 415),
    ("POST", "/api/sessions", {"json": {"id": "described"}}, 422),
    ("GET", "/api/sessions/{session_id}", {}, 200),
    ("PATCH", "/api/sessions/{session_id}", {"json": {"title": "Logs"}}, 200),
    ("PATCH", "/api/sessions/{session_id}", {"json": {}}, 422),
    ("DELETE", "/api/sessions/{other_id}", {}, 204),
    ("DELETE", "/api/sessions/nothing", {}, 404),
    ("GET", "/api/sessions/{session_id}/messages", {}, 200),
    ("GET", "/api/sessions/{session_id}/messages?before=nothing", {}, 422),
    ("GET", "/api/sessions/{session_id}/export", {}, 200),
    ("GET", "/api/sessions/{session_id}/export?format=markdown", {}, 200),
    ("GET", "/api/sessions/{session_id}/events?format=json&after=0", {}, 200),
    ("GET", "/api/sessions/{session_id}/events?format=json&after=zzz-1", {}, 409),
    ("GET", "/api/sessions/{session_id}/events?after=nonsense", {}, 400),
    ("POST", "/api/sessions/{session_id}/messages", {"json": HI}, 202),
    ("POST", "/api/sessions/{other_id}/messages?wait=9", {"json": HI}, 200),
    ("POST", "/api/sessions/{other_id}/messages?format=ndjson", {"json": HI}, 200),
    ("POST", "/api/sessions/{other_id}/messages", {"json": {**HI, "model": "nothing"}}, 422),
    ("POST", "/api/sessions/{other_id}/messages", NO_JSON, 400),
    ("POST", "/api/messages/{message_id}/regenerate?wait=9", {"json": {"on_busy": "interrupt"}}, 200),
    ("POST", "/api/messages/{message_id}/cancel", {}, 200),
    ("POST", "/api/messages/{question_id}/cancel", {}, 409),
    ("POST", "/api/messages/{message_id}/ticket", {}, 201),
    ("GET", "/api/messages/{message_id}", {}, 200),
    ("GET", "/api/messages/nothing", {}, 404),
    ("GET", "/api/messages/{message_id}/events?format=json", {}, 200),
    ("GET", "/api/messages/{message_id}/events?format=text", {}, 200),
    ("GET", "/api/messages/{message_id}/events?format=ndjson", {}, 200),
    ("GET", "/api/messages/{message_id}/events?format=ndjson&after=zzz-1", {}, 200),
    ("GET", "/api/messages/{message_id}/events", {}, 200),
    ("GET", "/api/providers", {}, 200),
    ("GET", "/api/stream/status", {}, 200),
    ("GET", "/api/stream/probe?format=xml", {}, 422),
    ("GET", "/api/stream/probe?format=ndjson&ticks=2", {}, 200),
    ("GET", "/api/stream/probe?format=json", {}, 200),
    ("GET", "/sign-in", {}, 303),
    ("POST", "/sign-in", {"data": {"token": "wrong"}}, 401),
    ("POST", "/sign-in", {"data": {"token": "x" * 5_000}}, 413),
    ("POST", "/sign-out", {}, 303),
    ("GET", "/ws/chat/{session_id}", {}, 426),
    ("GET", "/ws/probe", {}, 426),
    ("GET", "/healthz", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("GET", "/metrics", {}, 200),
]


def template_of(path: str) -> str:
    path = path.partition("?")[0].replace("other_id", "session_id").replace("question_id", "message_id")
    return re.sub("(session|message)s/nothing", r"\1s/{\1_id}", path)


@pytest.mark.parametrize(("method", "path", "how", "status"), REAL, ids=lambda value: str(value)[:60])
def test_real_answers_are_as_described(
    caller: Caller, document: Json, message: Json, method: str, path: str, how: Any, status: int
) -> None:
    caller.http.post("/api/sessions", json={"id": "other"})
    values = {"session_id": "described", "other_id": "other"}
    values |= {"message_id": message["id"], "question_id": message["parent_id"]}
    response = caller.http.request(method, path.format(**values), **how)
    assert response.status_code == status, response.text
    assert_described(document, operations(document)[method, template_of(path)], response)


def test_every_operation_was_looked_at(document: Json) -> None:
    seen = {(method, template_of(path)) for method, path, _, _ in REAL}
    assert operations(document).keys() <= seen


def assert_described(document: Json, described: Json, response: httpx.Response) -> None:
    answer = described["responses"][str(response.status_code)]
    if "content" not in answer:
        assert response.content == b""
        return
    schema = answer["content"][response.headers["content-type"]]["schema"]
    for told in objects_in(response):
        OAS31Validator({**schema, "components": document["components"]}).validate(told)


def objects_in(response: httpx.Response) -> list[Any]:
    media_type = response.headers["content-type"]
    if media_type == "application/x-ndjson":
        return ndjson_events(response.content)
    return [response.json() if media_type.endswith("json") else response.text]


def test_a_described_schema_refuses_what_is_not_as_described(document: Json, message: Json) -> None:
    schema = {"$ref": "#/components/schemas/Message", "components": document["components"]}
    assert OAS31Validator(schema).is_valid(message)
    for field in message:
        assert not OAS31Validator(schema).is_valid({**message, field: object()}), field


# The page that shows it.


def test_the_docs_and_all_they_load_come_from_here(caller: Caller) -> None:
    page = caller.http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith("/static/")
        assert caller.http.get(address).status_code == 200
    assert "//" not in page.text


def test_the_docs_show_our_own_description(caller: Caller) -> None:
    script = caller.http.get("/static/docs.js").text
    code = re.sub(r"^\s*//.*$", "", script, flags=re.MULTILINE)
    assert '"/openapi.json"' in code
    assert "//" not in code
