"""Everything a provider can do wrong, at every place, and what has to come of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from tests.faults.form import LONG
from tests.faults.process import forget_peak, memory
from tests.faults.provider import SECRET, ProviderProcess
from tests.faults.script import Script
from tests.serving import ServerProcess, free_port

MEGABYTE = 1 << 20
CHUNKS = 60
POSITIONS = (0, 1, 50)
AT_ONCE = 40

# Amid the text. Before the first text, the retryable ones are tried again; after it, none is.
BREAKS = {
    "failure": ("provider_overloaded", True),
    "reset": ("provider_truncated", True),
    "clean_end": ("provider_truncated", True),
    "cut": ("provider_truncated", True),
    "stall": ("provider_timeout", True),
    "bad_json": ("provider_malformed", False),
    "wrong_shape": ("provider_malformed", False),
    "deep_json": ("provider_malformed", False),
    "half_utf8": ("provider_malformed", False),
    "long_line": ("provider_malformed", False),
    "many_lines": ("provider_malformed", False),
}
HARMLESS = ("empty_choices", "unknown_event", "comments", "pause")
STYLES = ("none", "cr", "crlf", "drip", "bom", "surrogates", "text_after_end", "reset_after_end", "stall_after_end")
STATUSES = {
    400: ("provider_bad_request", False),
    401: ("provider_auth", False),
    403: ("provider_auth", False),
    404: ("provider_bad_request", False),
    408: ("provider_timeout", True),
    413: ("provider_bad_request", False),
    422: ("provider_bad_request", False),
    429: ("provider_rate_limited", True),
    500: ("provider_overloaded", True),
    502: ("provider_overloaded", True),
    503: ("provider_overloaded", True),
    529: ("provider_overloaded", True),
}
INSTEAD = {
    "redirect": ("provider_bad_request", False),
    "html": ("provider_malformed", False),
    "wrong_type": ("provider_malformed", False),
    "gzip_bomb": ("provider_malformed", False),
    "silence": ("provider_timeout", True),
    "bad_http": ("provider_unreachable", True),
    "huge_header": ("provider_unreachable", True),
    "refusal": ("provider_unreachable", True),
}
FORMATS = ("openai", "anthropic")


@dataclass(frozen=True)
class Case:
    """`code`: None for an answer that becomes whole. `retries`: how many `retrying` come before its end."""

    script: Script
    provider: str
    code: str | None = None
    retries: int = 0

    def __str__(self) -> str:
        return f"{self.provider}-{self.script.question}"

    @property
    def text(self) -> str:
        if self.code is None:
            return self.script.text
        return self.script.partial


@dataclass(frozen=True)
class Outcome:
    events: Sequence[dict[str, Any]]
    log: Sequence[dict[str, Any]]
    message: dict[str, Any]
    requests: int = 0  # that the provider got

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def end(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def text(self) -> str:
        return "".join(event["content"] for event in self.of_type("chunk"))


def broken(provider: str) -> list[Case]:
    return [
        Case(
            Script(fault, after, CHUNKS, size=2 * MEGABYTE, tag=provider),
            provider,
            code,
            retries=2 if retryable and after == 0 else 0,
        )
        for fault, (code, retryable) in BREAKS.items()
        for after in POSITIONS
    ]


def refused(provider: str) -> list[Case]:
    statuses = [
        Case(Script("status", status=status, tag=provider), provider, code, 2 * retryable)
        for status, (code, retryable) in STATUSES.items()
    ]
    others = [
        Case(Script(fault, size=MEGABYTE, tag=provider), provider, code, 2 * retryable)
        for fault, (code, retryable) in INSTEAD.items()
    ]
    return [*statuses, *others]


def harmless(provider: str) -> list[Case]:
    amid = [Script(fault, after, CHUNKS, tag=provider) for fault in HARMLESS for after in POSITIONS]
    styles = [Script(fault, chunks=CHUNKS, tag=provider) for fault in STYLES]
    return [Case(script, provider) for script in [*amid, *styles]]


def mended(provider: str) -> list[Case]:
    """What goes well at the second or third attempt."""
    faults = [fault for fault, (_, retryable) in {**BREAKS, **INSTEAD}.items() if retryable]
    scripts = [Script(fault, chunks=CHUNKS, times=times, tag=provider) for fault in faults for times in (1, 2)]
    return [Case(script, provider, retries=script.times) for script in scripts]


def without_end() -> list[Case]:
    """A finish reason is enough in the one format; the other has an event of its own for the end."""
    whole, cut = (Script("no_done", chunks=CHUNKS, after=CHUNKS, tag=provider) for provider in FORMATS)
    return [Case(whole, "openai"), Case(cut, "anthropic", "provider_truncated")]


CASES = [
    case for provider in FORMATS for build in (broken, refused, harmless, mended) for case in build(provider)
] + without_end()


@pytest.fixture(scope="module")
def outcomes(asking: ServerProcess, provider: ProviderProcess, request: pytest.FixtureRequest) -> dict[Case, Outcome]:
    """Of all the cases that are to be tested, at once: most of their time is waiting."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = [each.params["case"] for each in parameters if each is not None and "case" in each.params]
    found = asyncio.run(run_all(asking.url, wanted))
    times = provider.control()["requests"]
    return {
        case: replace(outcome, requests=len(times.get(case.script.question, ())))
        for case, outcome in zip(wanted, found, strict=True)
    }


async def run_all(url: str, cases: Sequence[Case]) -> list[Outcome]:
    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for number, provider in enumerate(FORMATS):
            # What a vendor's SDK takes to load is not what is measured here.
            await outcome_of(client, -1 - number, Case(Script(tag=provider), provider))
        return list(await asyncio.gather(*(run_case(client, turn, number, case) for number, case in enumerate(cases))))


async def run_case(client: httpx.AsyncClient, turn: asyncio.Semaphore, number: int, case: Case) -> Outcome:
    async with turn:
        return await outcome_of(client, number, case)


async def outcome_of(client: httpx.AsyncClient, number: int, case: Case) -> Outcome:
    body = {"content": case.script.question, "provider": case.provider, "model": "claude-scripted"}
    reply = await client.post(f"/api/sessions/case-{number}/messages?format=ndjson", json=body)
    assert reply.status_code == 200, reply.text
    _, *events = [json.loads(line) for line in reply.text.splitlines() if line]
    address = reply.headers["Location"]
    page = (await client.get(address, params={"format": "json", "wait": 0})).json()
    message = (await client.get(address.removesuffix("/events"))).json()
    return Outcome(events, page["events"], message)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_fault(case: Case, outcomes: dict[Case, Outcome]) -> None:
    outcome = outcomes[case]
    check_shape(outcome)
    assert outcome.text == case.text
    assert len(outcome.of_type("retrying")) == case.retries
    assert outcome.requests == case.retries + 1
    if case.code is None:
        assert outcome.end["type"] == "complete"
        assert (outcome.end["status"], outcome.end["finish_reason"]) == ("completed", "stop")
        assert outcome.end["usage"] == {"input_tokens": 7, "output_tokens": CHUNKS, "source": "provider"}
    else:
        assert outcome.end["type"] == "error"
        assert outcome.end["status"] == "failed"
        assert outcome.end["problem"]["code"] == case.code
        assert outcome.message["usage"]["source"] == "estimated"


def check_shape(outcome: Outcome) -> None:
    """What holds for every answer, whatever became of it."""
    types = [event["type"] for event in outcome.events]
    assert types[0] == "start"
    assert [kind for kind in types if kind in ("complete", "error")] == types[-1:]
    assert list(outcome.log) == list(outcome.events)
    offset = 0
    for number, chunk in enumerate(outcome.of_type("chunk"), 1):
        assert (chunk["chunk_id"], chunk["offset"]) == (number, offset)
        offset += len(chunk["content"])
    end, message = outcome.end, outcome.message
    assert outcome.text == end["full_content"] == message["content"]
    assert end["length"] == offset
    assert end["sha256"] == message["sha256"] == hashlib.sha256(outcome.text.encode()).hexdigest()
    assert end["status"] == message["status"]
    assert SECRET not in json.dumps([outcome.events, message])


def test_a_redirect_is_not_followed(asking: ServerProcess, provider: ProviderProcess, session_id: str) -> None:
    script = Script("redirect", tag=session_id)
    url = f"{asking.url}/api/sessions/{session_id}/messages?wait=10"
    httpx.post(url, json={"content": script.question}, timeout=20)
    assert len(provider.requests(script.question)) == 1
    assert not provider.control()["strays"]


def ask(asking: ServerProcess, session_id: str, script: Script) -> str:
    """The id of the answer, just begun."""
    url = f"{asking.url}/api/sessions/{session_id}/messages"
    message_id: str = httpx.post(url, json={"content": script.question}).json()["message"]["id"]
    return message_id


def first_retrying(asking: ServerProcess, message_id: str) -> dict[str, Any]:
    with httpx.stream("GET", f"{asking.url}/api/messages/{message_id}/events?format=ndjson", timeout=10) as stream:
        for line in stream.iter_lines():
            event: dict[str, Any] = json.loads(line or "{}")
            if event.get("type") == "retrying":
                return event
    raise AssertionError("there was no retrying")


@pytest.mark.parametrize(
    ("retry", "shortest", "longest"),
    [("", 0.25, 0.75), ("seconds:2", 2, 2), ("date:3", 1, 3), ("ms:1500", 1.5, 1.5), ("seconds:0", 0.25, 0.75)],
)
def test_the_wait_that_a_provider_asks_for(
    asking: ServerProcess,
    provider: ProviderProcess,
    session_id: str,
    retry: str,
    shortest: float,
    longest: float,
) -> None:
    script = Script("status", status=429, retry=retry, times=1, tag=session_id)
    message_id = ask(asking, session_id, script)
    told = first_retrying(asking, message_id)
    assert shortest <= told["delay"] <= longest
    assert told["attempt"] == 1
    assert told["problem"]["code"] == "provider_rate_limited"
    ended = httpx.get(f"{asking.url}/api/messages/{message_id}/events?format=text", timeout=10)
    assert ended.text == script.text
    first, second = provider.requests(script.question)
    assert second - first >= told["delay"]


@pytest.mark.parametrize("retry", ["seconds:3600", "date:86400", "ms:99999999"])
def test_a_wait_without_measure_is_told_and_not_waited_for(
    asking: ServerProcess, provider: ProviderProcess, session_id: str, retry: str
) -> None:
    script = Script("status", status=503, retry=retry, tag=session_id)
    url = f"{asking.url}/api/sessions/{session_id}/messages?wait=10"
    ended = httpx.post(url, json={"content": script.question}, timeout=20).json()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "provider_overloaded")
    assert ended["error"]["retry_after"] > 3_000
    assert len(provider.requests(script.question)) == 1


def test_the_time_for_the_first_text_does_not_run_while_waiting_to_try_again(
    asking: ServerProcess, session_id: str
) -> None:
    # The wait is longer than XIONIMUS_FIRST_TEXT_TIMEOUT of this server.
    script = Script("status", status=429, retry="seconds:5", times=1, tag=session_id)
    url = f"{asking.url}/api/sessions/{session_id}/messages?wait=30"
    ended = httpx.post(url, json={"content": script.question}, timeout=40).json()
    assert (ended["status"], ended["content"]) == ("completed", script.text)


def test_nobody_listens(provider: ProviderProcess, asking: ServerProcess, session_id: str) -> None:
    # An address of our own with nothing behind it; by the operator's settings only a restart could bring it.
    extra = json.dumps([{"id": "nobody", "base_url": f"http://127.0.0.1:{free_port()}/v1", "models": ["m"]}])
    process = ServerProcess(
        asking.folder / "nobody", {**provider.environment, "XIONIMUS_EXTRA_PROVIDERS": extra}, free_port()
    )
    process.folder.mkdir()
    process.start()
    try:
        url = f"{process.url}/api/sessions/{session_id}/messages?wait=20"
        ended = httpx.post(url, json={"content": "Hello?", "provider": "nobody"}, timeout=30).json()
    finally:
        process.kill()
    assert (ended["status"], ended["error"]["code"]) == ("failed", "provider_unreachable")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["long_line", "many_lines", "gzip_bomb", "huge_header"])
@pytest.mark.parametrize("provider_id", FORMATS)
def test_memory_stays_bounded(asking: ServerProcess, session_id: str, fault: str, provider_id: str) -> None:
    script = Script(fault, after=1, size=200 * MEGABYTE if LONG else 30 * MEGABYTE, tag=provider_id)
    url = f"{asking.url}/api/sessions/{session_id}/messages?wait=60"
    body = {"content": Script(tag=session_id).question, "provider": provider_id, "model": "claude-scripted"}
    assert httpx.post(url, json=body, timeout=90).json()["status"] == "completed"  # everything is loaded
    forget_peak(asking.pid)
    before = memory(asking.pid)
    ended = httpx.post(url, json={**body, "content": script.question}, timeout=90).json()
    assert ended["status"] == "failed"
    assert memory(asking.pid, "VmHWM") - before < 12 * MEGABYTE


def test_an_answer_without_end_is_ended(asking: ServerProcess, provider: ProviderProcess, session_id: str) -> None:
    script = Script(chunks=20_000, tag=session_id)
    url = f"{asking.url}/api/sessions/{session_id}/messages?wait=50"
    ended = httpx.post(url, json={"content": script.question}, timeout=60).json()
    assert (ended["status"], ended["finish_reason"]) == ("completed", "length")
    assert 100_000 < ended["length"] < 110_000  # XIONIMUS_MAX_ANSWER_CHARACTERS of this server
    assert script.text.startswith(ended["content"])
    assert provider.closes(script.question, within=1)


@pytest.mark.parametrize(
    ("script", "waiting_for"),
    [
        (Script("silence"), "start"),
        (Script("stall", after=0), "start"),
        (Script("stall", after=1), "chunk"),
        (Script(chunks=1_000, delay=0.005), "chunk"),
        (Script("status", status=503, retry="seconds:20"), "retrying"),
    ],
    ids=str,
)
@pytest.mark.parametrize("provider_id", FORMATS)
def test_cancelling_closes_the_connection_and_keeps_the_text(
    asking: ServerProcess,
    provider: ProviderProcess,
    session_id: str,
    script: Script,
    waiting_for: str,
    provider_id: str,
) -> None:
    script = replace(script, tag=session_id)
    body = {"content": script.question, "provider": provider_id, "model": "claude-scripted"}
    accepted = httpx.post(f"{asking.url}/api/sessions/{session_id}/messages", json=body).json()
    cancel = f"{asking.url}/api/messages/{accepted['message']['id']}/cancel"
    seen = read_until(f"{asking.url}{accepted['stream_url']}", waiting_for)
    ended = httpx.post(cancel).json()
    assert provider.closes(script.question, within=1)
    assert (ended["status"], ended["finish_reason"]) == ("cancelled", "cancelled")
    assert script.text.startswith(ended["content"])
    assert ended["content"].startswith(seen)
    assert ended["usage"]["source"] == "estimated"
    assert httpx.post(cancel).json() == ended
    assert len(provider.requests(script.question)) <= 1


def read_until(url: str, kind: str) -> str:
    """The text up to the first event of a type."""
    text = ""
    with httpx.stream("GET", f"{url}?format=ndjson", timeout=10) as stream:
        for line in stream.iter_lines():
            event: dict[str, str] = json.loads(line or "{}")
            text += event.get("content", "")
            if event.get("type") == kind:
                return text
    raise AssertionError(f"there was no {kind}")
