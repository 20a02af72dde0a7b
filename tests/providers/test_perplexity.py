"""What Perplexity does differently: sources, usage with every chunk."""

from __future__ import annotations

import pytest

from server.chat.provider import Delta, Finish, Prompt, Source, Sources, Text, Turn, Usage
from server.providers.openai import AnswerReader
from server.providers.perplexity import PerplexityProvider
from tests.providers.recordings import CITED, PERPLEXITY, completion, sonar
from tests.providers.test_openai import check, read
from tests.providers.wire import WireServer, cut, events, stream

pytestmark = pytest.mark.anyio


def sources(*chunks: object) -> list[Delta]:
    deltas = AnswerReader("Test").feed(events(*chunks))
    return [delta for delta in deltas if isinstance(delta, Sources)]


@pytest.mark.parametrize("size", [1, 100_000])
async def test_the_recording_is_read_from_the_wire(size: int) -> None:
    prompt = Prompt("sonar-pro", [Turn("user", "Why is the sky blue?")], max_tokens=9)
    async with WireServer(stream(cut(PERPLEXITY.body, size), PERPLEXITY.headers)) as vendor:
        provider = PerplexityProvider(api_key="pplx", base_url=vendor.url)
        check([delta async for delta in provider.stream(prompt)], PERPLEXITY)
        await provider.aclose()
    [request] = vendor.requests
    assert request.path == "/chat/completions"
    assert request.headers["authorization"] == "Bearer pplx"
    assert request.json() == {
        "model": "sonar-pro",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "stream": True,
        "max_tokens": 9,
    }


def test_the_recording_says_the_same_wherever_it_is_cut() -> None:
    for at in range(len(PERPLEXITY.body)):
        check(read(AnswerReader("Test"), [PERPLEXITY.body[:at], PERPLEXITY.body[at:]]), PERPLEXITY)


def test_sources_come_with_the_chunk_that_names_them() -> None:
    deltas = list(AnswerReader("Test").feed(events(sonar("Blue", found=1), sonar(" sky"))))
    assert deltas == [
        Sources([Source(CITED[0], "Sky")]),
        Text("Blue"),
        Sources([Source(CITED[1], "Light")]),
        Text(" sky"),
    ]


def test_each_source_is_told_once_in_the_order_of_the_citations() -> None:
    first = completion({}, citations=CITED)
    later = completion({}, citations=CITED[::-1], search_results=[{"url": "http://new.example", "title": None}])
    assert sources(first, first, later, later) == [
        Sources([Source(url, url) for url in CITED]),
        Sources([Source("http://new.example", "http://new.example")]),
    ]


def test_a_source_is_an_address_on_the_web() -> None:
    assert sources(completion({}, citations=["javascript:alert(1)", "file:///etc/passwd", "", "x"])) == []


def test_a_text_that_ends_inside_a_tag_is_told_whole() -> None:
    deltas = read(AnswerReader("Test"), [events(sonar("<think"), sonar("", "length", written=2))])
    assert deltas[1:] == [Text("<think"), Usage(4, 2), Finish("length")]
