"""The calls that most tests of the API begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import httpx

from tests import plain
from tests.serving import ServerProcess

PROBLEM = "application/problem+json"
Json = dict[str, Any]


class Caller:
    """A client of one server. What is asked goes to the model `echo`, unless the question says otherwise."""

    def __init__(self, server: ServerProcess) -> None:
        self.http = plain.Client(base_url=server.url, timeout=30)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *raised: object) -> None:
        self.http.close()

    def send(self, session_id: str, content: str = "one two three", **more: Any) -> httpx.Response:
        """POST a question; `params` and `headers` are httpx's, everything else is a field of the body."""
        known = {name: more.pop(name) for name in ("params", "headers") if name in more}
        body = {"model": "echo", "content": content, **more}
        return self.http.post(f"/api/sessions/{session_id}/messages", json=body, **known)

    def ask(self, session_id: str, content: str = "one two three", **more: Any) -> Json:
        """The answer as it is at its start."""
        response = self.send(session_id, content, **more)
        assert response.status_code == 202, response.text
        message: Json = response.json()["message"]
        return message

    def answer(self, session_id: str, content: str = "one two three", **more: Any) -> Json:
        """The answer as it ended."""
        response = self.send(session_id, content, params={"wait": 30}, **more)
        assert response.status_code == 200, response.text
        message: Json = response.json()
        return message

    @contextmanager
    def busy(self, session_id: str) -> Iterator[Json]:
        """An answer that is being written for some seconds, unless it is stopped; it is at the end."""
        message = self.ask(session_id, model="long")
        try:
            yield message
        finally:
            self.cancel(message["id"])

    def message(self, message_id: str) -> Json:
        message: Json = self.http.get(f"/api/messages/{message_id}").raise_for_status().json()
        return message

    def cancel(self, message_id: str) -> Json:
        message: Json = self.http.post(f"/api/messages/{message_id}/cancel").raise_for_status().json()
        return message

    def history(self, session_id: str, **params: Any) -> Json:
        found: Json = self.http.get(f"/api/sessions/{session_id}/messages", params=params).raise_for_status().json()
        return found

    def log(self, session_id: str, after: str = "0") -> list[Json]:
        """All events of a session so far."""
        events: list[Json] = []
        while True:
            page = self._page(f"/api/sessions/{session_id}/events", after, wait=0)
            if not page["events"]:
                return events
            events += page["events"]
            after = page["cursor"]

    def events(self, message_id: str, after: str = "0") -> list[Json]:
        """All events of an answer, to its end."""
        events: list[Json] = []
        while True:
            page = self._page(f"/api/messages/{message_id}/events", after, wait=25)
            events += page["events"]
            if page["done"]:
                return events
            after = page["cursor"]

    def _page(self, path: str, after: str, wait: float) -> Json:
        params: dict[str, Any] = {"after": after, "wait": wait, "format": "json"}
        page: Json = self.http.get(path, params=params).raise_for_status().json()
        return page


def text_of(events: list[Json]) -> str:
    return "".join(event["content"] for event in events if event["type"] == "chunk")


def assert_problem(response: httpx.Response, status: int, code: str) -> Json:
    """The problem that the response tells, with everything that every problem has."""
    assert response.headers["content-type"] == PROBLEM, response.text
    problem: Json = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code), response.text
    assert {"type", "title", "detail", "instance", "retryable", "retry_after"} <= problem.keys()
    assert unquote(problem["instance"]) == response.request.url.path
    assert problem["type"].endswith(code)
    return problem
