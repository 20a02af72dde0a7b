"""The pages that an answer goes back to, as the servers of the OpenAI format name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.chat.provider import Delta, Source, Sources


class SourceReader:
    """Tells each source once, however often it is named. What has another shape is passed over: it is no answer."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._latest: object = None

    def read(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """Perplexity's, which every chunk repeats: `citations` as the text numbers them, from [1], `search_results`
        with their titles. They come through gateways too.
        """
        if "citations" not in chunk and "search_results" not in chunk:
            return []
        found = (chunk.get("citations"), chunk.get("search_results"))
        if found == self._latest:
            return []
        self._latest = found
        citations, results = found
        titles = {url: "" for url in listed(citations) if isinstance(url, str)}
        titles |= {result["url"]: result.get("title") for result in listed(results) if has_url(result)}
        return self._news(titles)

    def annotated(self, annotations: object) -> list[Delta]:
        """Those of OpenAI's models that search, and of OpenRouter: in the delta, each of type `url_citation`."""
        cited: list[Any] = [each.get("url_citation") for each in listed(annotations) if isinstance(each, dict)]
        return self._news({each["url"]: each.get("title") for each in cited if has_url(each)})

    def _news(self, titles: Mapping[str, object]) -> list[Delta]:
        # It becomes a link: never javascript:
        news = [url for url in titles if url.startswith(("https://", "http://")) and url not in self._told]
        self._told.update(news)
        return [Sources([Source(url, str(titles[url] or url)) for url in news])] if news else []


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def has_url(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("url"), str)
