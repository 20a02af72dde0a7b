"""The API as a machine: whatever is done in whatever order, it does what a model of a few lines does."""

from __future__ import annotations

import json
import math
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.faults.form import LONG
from tests.serving import ServerProcess

NUMBERS = count()
CONTENTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda text: bool(text.strip())
)
FORMATS = st.sampled_from(["json", "ndjson", "sse"])
KEYS = st.none() | st.sampled_from(["k1", "k2"])
CURSORS = st.text(max_size=12) | st.from_regex(r"[a-z0-9]{1,9}-[0-9]{1,4}", fullmatch=True)
PARTS = st.floats(min_value=0, max_value=1)


class Conversation:
    """The model of a session: what was said in it, and its log as far as it has been read."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.title = ""
        self.messages: list[tuple[str, str]] = []  # role and content
        self.log: list[str] = []
        self.keys: dict[str, tuple[str, str]] = {}  # content and answer, by idempotency key
        self.gone = False

    @property
    def path(self) -> str:
        return f"/api/sessions/{self.id}"


class Api(RuleBasedStateMachine):
    """`url` is set for the run."""

    url = ""
    sessions = Bundle("sessions")
    answers = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self.all: list[Conversation] = []

    def teardown(self) -> None:
        self.http.close()

    @rule(target=sessions)
    def begin(self) -> Conversation:
        conversation = Conversation(f"machine-{next(NUMBERS)}")
        assert self.http.post("/api/sessions", json={"id": conversation.id}).status_code == 201
        self.all.append(conversation)
        return conversation

    @rule(target=answers, conversation=sessions, content=CONTENTS, form=FORMATS, key=KEYS)
    def ask(self, conversation: Conversation, content: str, form: str, key: str | None) -> Any:
        headers = {"Idempotency-Key": f"{conversation.id}:{key}"} if key else {}
        body = {"content": content, "model": "echo", "on_busy": "enqueue"}
        parameters = {"format": form, "wait": "30"}
        reply = self.http.post(f"{conversation.path}/messages", json=body, params=parameters, headers=headers)
        known = conversation.keys.get(key) if key else None
        if known is not None and known[0] != content:
            assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")
            return multiple()
        assert reply.status_code == 200, reply.text
        message_id = reply.headers["Location"].split("/")[-2]
        if known is not None:
            assert message_id == known[1]
            return multiple()
        self._learn(conversation, content, message_id, key)
        return (conversation, message_id, content)

    def _learn(self, conversation: Conversation, content: str, message_id: str, key: str | None) -> None:
        message = self.http.get(f"/api/messages/{message_id}").json()
        assert (message["status"], message["content"]) == ("completed", content)
        conversation.messages += [("user", content), ("assistant", content)]
        conversation.title = conversation.title or "something"
        if key:
            conversation.keys[key] = (content, message_id)

    @rule(answer=answers)
    def regenerate(self, answer: tuple[Conversation, str, str]) -> None:
        conversation, message_id, content = answer
        reply = self.http.post(f"/api/messages/{message_id}/regenerate?wait=30")
        if conversation.gone:
            assert reply.status_code == 404
            return
        assert (reply.json()["status"], reply.json()["content"]) == ("completed", content)
        conversation.messages.append(("assistant", content))

    @rule(answer=answers)
    def cancel_too_late(self, answer: tuple[Conversation, str, str]) -> None:
        conversation, message_id, content = answer
        reply = self.http.post(f"/api/messages/{message_id}/cancel")
        if conversation.gone:
            assert reply.status_code == 404
        else:
            assert (reply.json()["status"], reply.json()["content"]) == ("completed", content)

    @rule(conversation=sessions, title=CONTENTS)
    def rename(self, conversation: Conversation, title: str) -> None:
        reply = self.http.patch(conversation.path, json={"title": title})
        title = " ".join(title.split())
        assert reply.json()["title"] == title
        assert json.loads(self._log(conversation)[-1])["title"] == title

    @rule(conversation=sessions, share=PARTS)
    def go_on_from_a_cursor(self, conversation: Conversation, share: float) -> None:
        log = self._log(conversation)
        place = math.floor(share * len(log))
        if place:
            assert self._read(conversation, json.loads(log[place - 1])["id"]) == log[place:]

    @rule(
        conversation=sessions, cursor=st.text(max_size=12) | st.from_regex(r"[a-z0-9]{1,9}-[0-9]{1,4}", fullmatch=True)
    )
    def go_on_from_nowhere(self, conversation: Conversation, cursor: str) -> None:
        reply = self.http.get(f"{conversation.path}/events", params={"format": "json", "after": cursor, "wait": "0"})
        if cursor == "0" or any(json.loads(text)["id"] == cursor for text in self._log(conversation)):
            assert reply.status_code == 200
        else:
            assert (reply.status_code, reply.json()["code"]) in ((400, "bad_cursor"), (409, "cursor_reset"))

    @rule(answer=answers)
    def read_an_answer(self, answer: tuple[Conversation, str, str]) -> None:
        conversation, message_id, _ = answer
        reply = self.http.get(f"/api/messages/{message_id}/events?format=ndjson")
        if conversation.gone:
            assert reply.status_code == 404
            return
        _, *events = [line for line in reply.text.split("\n") if line]
        assert events == [text for text in self._log(conversation) if json.loads(text).get("message_id") == message_id]
        last = {"Last-Event-ID": json.loads(events[-1])["id"]}
        assert self.http.get(f"/api/messages/{message_id}/events", headers=last).status_code == 204

    @rule(conversation=sessions, limit=st.integers(min_value=1, max_value=5))
    def page_through_the_history(self, conversation: Conversation, limit: int) -> None:
        found: list[tuple[str, str]] = []
        before: dict[str, Any] = {}
        more = True
        while more:
            page = self.http.get(f"{conversation.path}/messages", params={"limit": limit, **before}).json()
            assert len(page["messages"]) <= limit
            found[:0] = [(message["role"], message["content"]) for message in page["messages"]]
            more = page["has_more"]
            before = {"before": page["messages"][0]["id"]} if page["messages"] else {}
        assert found == conversation.messages

    @rule(conversation=consumes(sessions))
    def delete(self, conversation: Conversation) -> None:
        assert self.http.delete(conversation.path).status_code == 204
        conversation.gone = True
        for path in ("", "/messages", "/events", "/export"):
            assert self.http.get(f"{conversation.path}{path}").status_code == 404

    @invariant()
    def logs_only_grow(self) -> None:
        for conversation in self.all:
            if not conversation.gone:
                self._log(conversation)

    def _log(self, conversation: Conversation) -> list[str]:
        """The whole log; what was read before is its beginning."""
        log = self._read(conversation, "0")
        assert log[: len(conversation.log)] == conversation.log
        assert [int(json.loads(text)["id"].partition("-")[2]) for text in log] == list(range(1, len(log) + 1))
        conversation.log = log
        return log

    def _read(self, conversation: Conversation, cursor: str) -> list[str]:
        found: list[str] = []
        while True:
            parameters = {"format": "json", "after": cursor, "wait": "0"}
            page = self.http.get(f"{conversation.path}/events", params=parameters).json()
            if not page["events"]:
                return found
            found += [json.dumps(event, separators=(",", ":")) for event in page["events"]]
            cursor = page["cursor"]


@pytest.fixture
def machine(server: ServerProcess) -> type[Api]:
    Api.url = server.url
    return Api


@pytest.mark.timeout(3_600 if LONG else 180)
def test_the_api_does_what_its_model_does(machine: type[Api]) -> None:
    examples, steps = (300, 40) if LONG else (12, 15)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine, settings=how)
