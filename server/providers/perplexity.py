"""Perplexity's Sonar: the OpenAI format, with sources.

https://docs.perplexity.ai/docs/sonar/features
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from server.chat.provider import Delta, Source, Sources
from server.providers.models import PERPLEXITY, PERPLEXITY_DEFAULT
from server.providers.openai import AnswerReader, OpenAIProvider

BASE_URL = "https://api.perplexity.ai"


class PerplexityProvider(OpenAIProvider):
    asks_for_usage = False  # it comes unasked, with every chunk

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


class PerplexityReader(AnswerReader):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._told: set[str] = set()
        self._latest: object = None

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
