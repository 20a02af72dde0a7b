"""Perplexity's Sonar: the OpenAI format, with sources, and with the reasoning inside the text.

https://docs.perplexity.ai/docs/sonar/features
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from server.chat.provider import Delta, Prompt, Source, Sources, Text, Thinking
from server.providers.models import PERPLEXITY, PERPLEXITY_DEFAULT
from server.providers.openai import AnswerReader, OpenAIProvider

BASE_URL = "https://api.perplexity.ai"
OPENING, CLOSING = "<think>", "</think>"


class PerplexityProvider(OpenAIProvider):
    def __init__(self, *, api_key: str | None, base_url: str | None = None, connect_timeout: float = 10.0) -> None:
        super().__init__(
            id="perplexity",
            name="Perplexity",
            api_key=api_key,
            key_name="PERPLEXITY_API_KEY",
            base_url=base_url or BASE_URL,
            connect_timeout=connect_timeout,
            models=PERPLEXITY,
            default_model=PERPLEXITY_DEFAULT,
        )

    def reader(self) -> AnswerReader:
        return PerplexityReader(self.name)

    def request(self, prompt: Prompt) -> dict[str, Any]:
        body = super().request(prompt)
        del body["stream_options"]  # the usage comes unasked, with every chunk
        return body


class PerplexityReader(AnswerReader):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._told: set[str] = set()
        self._latest: object = None
        self._thoughts = ThoughtSplitter()

    def text(self, content: str) -> list[Delta]:
        return self._thoughts.feed(content)

    def rest(self) -> list[Delta]:
        return self._thoughts.end()

    def extras(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """The sources that were not told before; every chunk repeats them all."""
        found = (chunk.get("search_results"), chunk.get("citations"))
        if found == self._latest:
            return []
        self._latest = found
        news = [source for source in sources(*found) if source.url not in self._told]
        self._told.update(source.url for source in news)
        return [Sources(news)] if news else []


def sources(results: list[Mapping[str, Any]] | None, citations: list[str] | None) -> Iterator[Source]:
    """Both name the same pages: `results` with titles, `citations` as the text numbers them, from [1]."""
    titles = dict.fromkeys(citations or (), "")
    titles |= {result["url"]: str(result.get("title") or "") for result in results or ()}
    for url, title in titles.items():
        if url.startswith(("https://", "http://")):  # it becomes a link: never javascript:
            yield Source(url, title or url)


class ThoughtSplitter:
    """Tells the reasoning from the answer, in a text that may begin with `<think>…</think>`.

    The text may be cut anywhere, also inside a tag; no more than the start of a tag is held back.
    """

    def __init__(self) -> None:
        self._held = ""
        self._thinking: bool | None = None  # None as long as the text may still begin with the tag

    def feed(self, content: str) -> list[Delta]:
        content, self._held = self._held + content, ""
        if self._thinking is None:
            content = self._begin(content)
        if self._thinking:
            return self._think(content)
        return [Text(content)] if content else []

    def end(self) -> list[Delta]:
        if not self._held:
            return []
        return [Thinking(self._held) if self._thinking else Text(self._held)]

    def _begin(self, content: str) -> str:
        if len(content) < len(OPENING) and OPENING.startswith(content):
            self._held = content
            return ""
        self._thinking = content.startswith(OPENING)
        return content.removeprefix(OPENING)

    def _think(self, content: str) -> list[Delta]:
        thoughts, tag, text = content.partition(CLOSING)
        if tag:
            self._thinking = False
        else:
            keep = overlap(thoughts, CLOSING)
            thoughts, self._held = thoughts[: len(thoughts) - keep], thoughts[len(thoughts) - keep :]
        return [kind(piece) for kind, piece in ((Thinking, thoughts), (Text, text)) if piece]


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the start of `tag`."""
    return next(size for size in range(len(tag) - 1, -1, -1) if text.endswith(tag[:size]))
