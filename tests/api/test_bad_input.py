"""Whatever is sent, the answer is the right problem, and nothing has happened."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.calling import Caller, Json, assert_problem

BAD_NAMES: list[Any] = [5, "", "two words", "ünicode", "x" * 201, [], {}]
BAD_IDS: list[Any] = [5, "", "two words", "a/b", "x" * 65, "ä", "a\n", {}]

HOW: dict[str, list[Any]] = {
    "provider": BAD_NAMES,
    "model": BAD_NAMES,
    "ultra_thinking": [1, "true", None, []],
    "on_busy": ["wait", "", None, 5],
    "max_tokens": [0, -1, 1.5, "5", True, 10_000_001, 1 << 80],
    "temperature": [-0.1, 2.1, "hot", True, []],
    "system": [5, "a\0b", "x" * 100_001, []],
    "api_keys": [5, [], None, "sk-1", {str(number): "x" for number in range(33)}],
    "unheard_of": [1],
}
TITLE: list[Any] = [5, None, [], "a\0b", "x" * 201]

BODIES: dict[tuple[str, str], dict[str, list[Any]]] = {
    ("POST", "/api/sessions/{session}/messages"): {
        **HOW,
        "content": [5, None, "", " \n\t", "a\0b", [], {}, "x" * 1_000_001],
        "parent_id": BAD_IDS,
        "client_id": ["only-on-a-websocket"],
    },
    ("POST", "/api/messages/{message}/regenerate"): {**HOW, "content": ["no new question"], "parent_id": ["root"]},
    ("POST", "/api/sessions"): {"id": BAD_IDS, "title": TITLE, "unheard_of": [1]},
    ("PATCH", "/api/sessions/{existing}"): {"title": [*TITLE, ""], "unheard_of": [1]},
}
GOOD: dict[tuple[str, str], Json] = {
    ("POST", "/api/sessions/{session}/messages"): {"content": "hello"},
    ("PATCH", "/api/sessions/{existing}"): {"title": "Changed"},
}
QUERIES: dict[str, dict[str, list[str]]] = {
    "/api/sessions": {"limit": ["0", "-1", "501", "ten", "1.5", ""], "before": BAD_IDS[1:-1], "q": ["a\0b", "x" * 201]},
    "/api/sessions/{existing}/messages": {"limit": ["0", "501", "ten"], "before": BAD_IDS[1:-1]},
    "/api/sessions/{existing}/export": {"format": ["pdf", "", "JSON"]},
    "/api/sessions/{existing}/events": {
        "format": ["xml", "", "SSE"],
        "wait": ["-1", "long", "nan", "inf", "86401"],
        "heartbeat": ["loud", ""],
    },
    "/api/messages/{message}/events": {"format": ["xml"], "wait": ["-1", "long", "nan"], "heartbeat": ["loud"]},
    "/api/stream/probe": {
        "format": ["text", "xml", ""],
        "ticks": ["0", "11", "many", "1.5"],
        "interval": ["0", "61", "long", "nan", "inf"],
        "after": ["-1", "11", "abc-1"],
    },
}
WAITS = ["-1", "301", "long", "nan", "inf", ""]


class Place:
    """Where the bad requests go: a session that is not there, one that is, and the answer in it."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.session = "never-there"
        self.existing = "bad-input"
        self.message = caller.answer(self.existing)["id"]

    def path(self, template: str) -> str:
        return template.format(session=self.session, existing=self.existing, message=self.message)

    def state(self) -> Json:
        """The session, and which one was changed last."""
        assert_problem(self.caller.http.get(f"/api/sessions/{self.session}"), 404, "not_found")
        newest = self.caller.http.get("/api/sessions?limit=1").json()
        return {"events": self.caller.log(self.existing), "newest": newest}


@pytest.fixture(scope="module")
def one_place(caller: Caller) -> Place:
    return Place(caller)


@pytest.fixture
def place(one_place: Place) -> Iterator[Place]:
    """Where nothing may have happened afterwards."""
    before = one_place.state()
    yield one_place
    assert one_place.state() == before


def fields_of(response: httpx.Response) -> set[str]:
    return {error["field"].split(".")[0] for error in assert_problem(response, 422, "invalid")["errors"]}


@pytest.mark.parametrize(
    ("route", "field"), [(route, field) for route, fields in BODIES.items() for field in fields], ids=str
)
def test_a_field_that_does_not_fit_is_named(place: Place, route: tuple[str, str], field: str) -> None:
    method, path = route
    for value in BODIES[route][field]:
        body = json.dumps({**GOOD.get(route, {}), field: value})
        headers = {"Content-Type": "application/json"}
        response = place.caller.http.request(method, place.path(path), content=body, headers=headers)
        assert fields_of(response) == {field}, (value, response.text)


@pytest.mark.parametrize(
    "keys",
    [{"openai": 5}, {"openai": ""}, {"openai": None}, {"openai": "sk-ü"}, {"openai": "a b"}, {"openai": "k" * 1_001},
     {"openai": "a\0b"}, {"two words": "x"}, {"": "x"}],
    ids=str,
)  # fmt: skip
def test_a_key_that_does_not_fit_is_named_but_not_told(place: Place, keys: dict[str, Any]) -> None:
    response = place.caller.send(place.session, api_keys=keys)
    assert fields_of(response) == {"api_keys"}
    assert "sk-ü" not in response.json()["detail"]


@pytest.mark.parametrize(("method", "path"), list(GOOD), ids=str)
def test_what_is_missing_is_named(place: Place, method: str, path: str) -> None:
    empty = place.caller.http.request(method, place.path(path), json={})
    absent = place.caller.http.request(method, place.path(path))
    assert fields_of(empty) == fields_of(absent) == GOOD[method, path].keys()


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in QUERIES.items() for name in names], ids=str)
def test_a_parameter_that_does_not_fit_is_named(place: Place, path: str, name: str) -> None:
    for value in QUERIES[path][name]:
        response = place.caller.http.get(place.path(path), params={name: value})
        assert fields_of(response) == {name}, (value, response.text)


@pytest.mark.parametrize("path", ["/api/sessions/{session}/messages", "/api/messages/{message}/regenerate"])
def test_a_parameter_of_a_question_that_does_not_fit_is_named(place: Place, path: str) -> None:
    for name, values in {"wait": WAITS, "format": ["xml", "", "JSON"]}.items():
        for value in values:
            response = place.caller.http.post(place.path(path), params={name: value}, json={"content": "hello"})
            assert fields_of(response) == {name}, (value, response.text)


@pytest.mark.parametrize("session_id", ["x" * 65, "two words", "ä", "a.b", "a%00b", "%ED%A0%80", "a%0A"])
def test_a_session_id_that_does_not_fit(caller: Caller, session_id: str) -> None:
    path = f"/api/sessions/{session_id}"
    assert fields_of(caller.http.post(f"{path}/messages", json={"content": "hello"})) == {"session_id"}
    for rest in ("", "/messages", "/events", "/export"):
        assert_problem(caller.http.get(path + rest), 404, "not_found")
    assert_problem(caller.http.delete(path), 404, "not_found")
    assert_problem(caller.http.patch(path, json={"title": "x"}), 404, "not_found")


def test_very_many_mistakes_are_not_listed(caller: Caller, session_id: str) -> None:
    body = {"content": "x", **{f"unheard_of_{number}": 1 for number in range(30_000)}}
    refused = caller.http.post(f"/api/sessions/{session_id}/messages", json=body)
    assert_problem(refused, 422, "invalid")
    assert "30000" in refused.json()["detail"]
    assert len(refused.content) < 1_000


def test_nobody_is_led_to_another_address(caller: Caller) -> None:
    assert_problem(caller.http.get("/api/sessions/"), 404, "not_found")


@pytest.mark.parametrize("message_id", ["x" * 200, "two words", "ä", "a%00b", "%ED%A0%80", "-1", "1", "'"])
def test_a_message_id_that_does_not_fit_is_not_found(caller: Caller, message_id: str) -> None:
    path = f"/api/messages/{message_id}"
    for response in (
        caller.http.get(path),
        caller.http.get(f"{path}/events"),
        caller.http.post(f"{path}/cancel"),
        caller.http.post(f"{path}/regenerate"),
    ):
        assert_problem(response, 404, "not_found")


NO_JSON = {
    "nonsense": b"hello",
    "cut": b'{"content": "hel',
    "two": b'{"content": "hello"}{}',
    "bad UTF-8": b'{"content": "\xff\xfe"}',
    "a surrogate in UTF-8": b'{"content": "\xed\xa0\x80"}',
    "a lone surrogate": b'{"content": "\\ud800"}',
    "a lone low surrogate": b'{"content": "\\udc00 "}',
    "byte order mark": b'\xef\xbb\xbf{"content": "hello"}',
    "UTF-16": '{"content": "hello"}'.encode("utf-16"),
    "a raw NUL": b'{"content": "a\0b"}',
    "single quotes": b"{'content': 'hello'}",
    "too deep": b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too deep in an unknown field": b'{"content": "hello", "x": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
}


@pytest.mark.parametrize("what", NO_JSON)
@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_no_json(place: Place, method: str, path: str, what: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = place.caller.http.request(method, place.path(path), content=NO_JSON[what], headers=headers)
    assert_problem(response, 400, "bad_request")


@pytest.mark.parametrize("body", [b"[]", b'"hello"', b"5", b"null", b"true", b'[{"content": "hello"}]'])
@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_no_object(place: Place, method: str, path: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = place.caller.http.request(method, place.path(path), content=body, headers=headers)
    assert fields_of(response) == {"body"}


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json"]
)
@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_of_another_type(place: Place, method: str, path: str, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    response = place.caller.http.request(method, place.path(path), content=b'{"content": "x"}', headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_in_a_coding(place: Place, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = place.caller.http.request(method, place.path(path), content=gzip.compress(b"{}"), headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"])
def test_ways_to_say_json(caller: Caller, session_id: str, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    response = caller.http.post(f"/api/sessions/{session_id}/messages", content=b'{"content":"x"}', headers=headers)
    assert response.status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_over_the_limit(place: Place, method: str, path: str, chunked: bool) -> None:
    body = json.dumps({**GOOD.get((method, path), {}), "padding": "x" * (1 << 20)}).encode()
    content = iter([body[start : start + 65_536] for start in range(0, len(body), 65_536)]) if chunked else body
    headers = {"Content-Type": "application/json"}
    response = place.caller.http.request(method, place.path(path), content=content, headers=headers)
    assert_problem(response, 413, "too_large")


@pytest.mark.parametrize("extra", [0, 1])
def test_the_limit_is_one_mebibyte(caller: Caller, session_id: str, extra: int) -> None:
    body = b'{"content":"hello"}'
    body += b" " * ((1 << 20) - len(body) + extra)
    headers = {"Content-Type": "application/json"}
    response = caller.http.post(f"/api/sessions/{session_id}/messages", content=body, headers=headers)
    assert response.status_code == (413 if extra else 202)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"provider": "nobody"}, "unknown_model"),
        ({"model": "nothing"}, "unknown_model"),
        ({"provider": "demo", "model": "gpt-6"}, "unknown_model"),
        ({"provider": "openai", "model": "any"}, "provider_not_configured"),
        ({"provider": "openai", "api_keys": {"anthropic": "x"}}, "provider_not_configured"),
        ({"parent_id": "msg_nothing"}, "invalid"),
    ],
)
def test_what_cannot_be_asked(place: Place, fields: Json, code: str) -> None:
    assert_problem(place.caller.send(place.session, **fields), 422, code)


def test_an_answer_of_unusual_size_and_signs_is_given_all_the_same(caller: Caller, session_id: str) -> None:
    content = "\u2028\ufeff\U0001f388é\r\n\x7f\x1b" * 100
    assert caller.answer(session_id, content)["content"] == content


simple = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
anything = simple | st.lists(simple, max_size=3) | st.dictionaries(st.text(max_size=10), simple, max_size=3)
fields = st.sampled_from(sorted({field for each in BODIES.values() for field in each} | {"type", "message_id"}))


@settings(max_examples=60)
@given(st.sampled_from(sorted(BODIES)), st.dictionaries(fields, anything, max_size=4))
def test_no_body_makes_the_server_fail(caller: Caller, route: tuple[str, str], body: Json) -> None:
    method, path = route
    target = path.format(session="fuzz", existing="no-such-session", message="msg_nothing")
    response = caller.http.request(method, target, json=body)
    assert response.status_code < 500 or response.json()["code"] == "overloaded"
    if response.status_code >= 400:
        assert_problem(response, response.status_code, response.json()["code"])


names = st.sampled_from(["limit", "before", "q", "format", "wait", "heartbeat", "after", "last_event_id"])


@settings(max_examples=60)
@given(st.sampled_from(sorted(QUERIES)), st.dictionaries(names, st.text(max_size=10), max_size=4))
def test_no_query_makes_the_server_fail(caller: Caller, path: str, query: dict[str, str]) -> None:
    target = path.format(existing="no-such-session", message="msg_nothing")
    params = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    with caller.http.stream("GET", target, params=params) as response:
        assert response.status_code < 500
